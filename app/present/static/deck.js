// Shows one slide at a time where there is room, and runs experiments without leaving their slide. Without this file the page is
// whole, and the forms lead to pages.
"use strict";

const channel = "BroadcastChannel" in window ? new BroadcastChannel("tenanted-talk") : null;

// An experiment's form puts the result below itself.
async function run(form) {
  const result = document.getElementById(form.dataset.result);
  const button = form.querySelector("button");
  button.disabled = true;
  result.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action + "?fragment", {method: "POST", body: new URLSearchParams(new FormData(form))});
    result.innerHTML = await answer.text();
  } catch (error) {
    result.textContent = "The program does not answer: is it running? Press the button again.";
  }
  button.disabled = false;
  result.removeAttribute("aria-busy");
  result.scrollIntoView({block: "nearest"});
}

document.addEventListener("submit", event => {
  if (!event.target.dataset.result) return;
  event.preventDefault();
  run(event.target);
});

function tell() {
  const slide = Reveal.getCurrentSlide();
  const chapter = slide && slide.parentElement.querySelector(".chapter");
  if (chapter && channel) channel.postMessage(chapter.id);
}

// With a narrow window, or when it is printed, the page is what suits.
if (matchMedia("(min-width: 60em) and (min-height: 30em)").matches && !matchMedia("print").matches) {
  document.getElementById("reveal-style").media = "screen";
  document.documentElement.classList.add("deck");
  Reveal.initialize({
    width: 1240, height: 800, margin: .02, center: false, hash: true, slideNumber: "h.v", transition: "none", backgroundTransition: "none",
    controlsLayout: "edges", view: "default", scrollActivationWidth: null, keyboardCondition: () => !["INPUT", "PRE"].includes(document.activeElement.tagName),
    keyboard: {83: () => window.open("/notes", "tenanted-notes")},
  }).then(() => {
    Reveal.registerKeyboardShortcut("S", "Speaker’s notes");
    Reveal.on("slidechanged", tell);
    tell();
  });
  // The answer to a new notes window.
  if (channel) channel.onmessage = event => { if (event.data === "?") tell(); };
}
