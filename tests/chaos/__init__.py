"""The kill matrix: real processes, PostgreSQL, Valkey and an S3 store; what was lost or doubled is counted in decoded pictures."""
