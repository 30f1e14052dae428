// Publishes camera, microphone and screen by WHIP (RFC 9725). Where and with which token stands behind the # of the
// address, which no browser sends to any server.

const by = (id) => document.getElementById(id);
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const WIDTH = 1280;
const HEIGHT = 720;

let stream = null;
let connection = null;
let session = ""; // the URL to DELETE
let wanted = false;
let tries = 0;

const given = new URLSearchParams(location.hash.slice(1));
by("url").value = given.get("url") ?? "";
by("token").value = given.get("token") ?? "";
if (given.get("url") && given.get("token")) {
  by("address").hidden = true;
  by("room").textContent = decodeURIComponent(given.get("url").split("/").at(-2) ?? "");
}
history.replaceState(null, "", location.pathname); // the token stays out of the history

const say = (text) => { by("status").textContent = text; };

async function capture() {
  const tracks = [];
  const touched = !by("untouched").checked;
  const video = by("camera").checked && { width: { ideal: WIDTH }, height: { ideal: HEIGHT } };
  const audio = by("microphone").checked && {
    echoCancellation: touched, noiseSuppression: touched, autoGainControl: touched,
  };
  if (video || audio) tracks.push(...(await navigator.mediaDevices.getUserMedia({ video, audio })).getTracks());
  if (by("screen").checked) {
    tracks.push(...(await navigator.mediaDevices.getDisplayMedia({ video: true })).getTracks());
  }
  if (!tracks.length) throw new Error("choose something to publish");
  // The first picture is taken for the camera, the second for the screen.
  return new MediaStream(tracks);
}

async function publish() {
  const made = new RTCPeerConnection({ iceServers: [] });
  connection = made;
  for (const track of stream.getTracks()) made.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  made.onconnectionstatechange = () => {
    if (made !== connection) return;
    if (made.connectionState === "connected") { tries = 0; say("You are in the room."); }
    if (["failed", "closed"].includes(made.connectionState)) again("The connection broke.");
    if (made.connectionState === "disconnected") { say("The connection is unsteady."); moveOn(); }
  };
  await made.setLocalDescription(await made.createOffer());
  const answer = await fetch(by("url").value, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${by("token").value}` },
    body: made.localDescription.sdp,
  });
  if (answer.status !== 201) {
    const refusal = new Error(`The room answered ${answer.status}: ${(await answer.text()).slice(0, 200)}`);
    refusal.final = answer.status < 500;
    throw refusal;
  }
  session = new URL(answer.headers.get("Location"), answer.url).href;
  await made.setRemoteDescription({ type: "answer", sdp: await answer.text() });
}

// On another network the session goes on by another way (RFC 9725 §4.3). Where there is none, the connection fails soon,
// and is made anew.
async function moveOn() {
  const made = connection;
  if (!made || !session || made.signalingState !== "stable") return;
  try {
    await made.setLocalDescription(await made.createOffer({ iceRestart: true }));
    const answer = await fetch(session, {
      method: "PATCH",
      headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" },
      body: lines(made.localDescription.sdp, ["a=ice-ufrag:", "a=ice-pwd:"]).slice(0, 2).join("\r\n") + "\r\n",
    });
    if (answer.status !== 200) throw new Error(`the ingest answered ${answer.status}`);
    await made.setRemoteDescription({ type: "answer", sdp: moved(made.remoteDescription.sdp, await answer.text()) });
  } catch (error) {
    if (made === connection) again(`The connection broke (${error.message}).`);
  }
}

const lines = (sdp, starts) => sdp.split(/\r?\n/).filter((line) => starts.some((start) => line.startsWith(start)));

// The ingest's answer with the credentials and the candidates of its new ICE session in place of the old ones.
function moved(sdp, fragment) {
  const [ufrag, password] = lines(fragment, ["a=ice-ufrag:", "a=ice-pwd:"]);
  const candidates = lines(fragment, ["a=candidate:", "a=end-of-candidates"]);
  return sdp.split(/\r?\n/).flatMap((line) => {
    if (line.startsWith("a=candidate:") || line.startsWith("a=end-of-candidates")) return [];
    if (line.startsWith("a=ice-ufrag:")) return [ufrag];
    if (line.startsWith("a=ice-pwd:")) return [password, ...candidates];
    return [line];
  }).join("\r\n");
}

addEventListener("online", moveOn);

// A node that is being emptied closes its connections; whoever comes again is sent to another.
function again(why) {
  connection?.close();
  connection = null;
  if (!wanted) return;
  const wait = RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)];
  say(`${why} Trying again…`);
  setTimeout(() => { if (wanted && !connection) attempt(); }, wait);
}

async function attempt() {
  try {
    await publish();
  } catch (error) {
    if (error.final) { await leave(); say(error.message); } else again(error.message);
  }
}

async function leave() {
  wanted = false;
  connection?.close();
  connection = null;
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  by("preview").srcObject = null;
  by("join").disabled = by("sources").disabled = false;
  by("leave").disabled = true;
  if (session) await fetch(session, { method: "DELETE", keepalive: true }).catch(() => {}); // it ends by itself, later
  session = "";
  say("You have left.");
}

by("form").onsubmit = async (event) => {
  event.preventDefault();
  by("join").disabled = by("sources").disabled = true;
  say("Joining…");
  try {
    stream = await capture();
  } catch (error) {
    by("join").disabled = by("sources").disabled = false;
    say(`Nothing to publish: ${error.message}`);
    return;
  }
  by("preview").srcObject = stream;
  by("leave").disabled = false;
  wanted = true;
  await attempt();
};
by("leave").onclick = leave;
addEventListener("pagehide", () => { if (session) fetch(session, { method: "DELETE", keepalive: true }); });
