"""The routes: one file a resource. They read, ask the service, and answer."""
