// Follows the slides in another window of the same browser, and shows the time since this page was opened.
"use strict";

const channel = "BroadcastChannel" in window ? new BroadcastChannel("tenanted-talk") : null;
const began = Date.now();

function follow(name) {
  const note = document.getElementById("note-" + name);
  if (!note) return;
  for (const other of document.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
  note.setAttribute("aria-current", "step");
  note.scrollIntoView({block: "center"});
}

if (channel) {
  channel.onmessage = event => follow(event.data);
  channel.postMessage("?");
}
setInterval(() => {
  const seconds = Math.floor((Date.now() - began) / 1000);
  document.getElementById("clock").textContent = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}, 1000);
