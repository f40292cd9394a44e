// Keeps the page up to date: fetches it again when the stream says that an update came, and shows a notice while that
// fails. All HTML comes from the server.
"use strict";

const DEBOUNCE = 150, JITTER = 150, SHORTEST_PAUSE = 400, LONGEST_SILENCE = 60_000; // milliseconds
const FIRST_RETRY = 300, LAST_RETRY = 15_000, ANSWER_RETRY = 2_000, PATIENCE = 1_000;
const parameters = new URLSearchParams(location.search);
const notice = document.getElementById("connection");
let shown = document.getElementById("main").innerHTML, refreshedAt = 0, planned = null;
let asked = 0, answered = 0; // numbers of requests: an answer that a later one overtook is not shown
let source = null, failures = 0, reconnecting = null, refetching = null, lostAt = null, noticing = null;

// The stream is filtered by page only: an incident that is resolved must also leave a page of open incidents.
function streamAddress() {
  const kept = ["token", "page"].filter((name) => parameters.get(name)).map((name) => [name, parameters.get(name)]);
  return "stream?" + new URLSearchParams(kept);
}

const time = { hour: "2-digit", minute: "2-digit" }, day = { day: "numeric", month: "short" };
const ofToday = new Intl.DateTimeFormat(undefined, time), ofThisYear = new Intl.DateTimeFormat(undefined, { ...day, ...time });
const ofDays = new Intl.DateTimeFormat(undefined, { ...day, year: "numeric", timeZone: "UTC" });
const ofOtherYears = new Intl.DateTimeFormat(undefined, { ...day, year: "numeric", ...time });

function localise(within) {
  const now = new Date();
  for (const element of within.querySelectorAll("time")) {
    const instant = new Date(element.dateTime);
    if (element.className === "ago") {
      element.title = `${ofOtherYears.format(instant)}, ${element.title}`;
      continue;
    }
    const isToday = instant.toDateString() === now.toDateString(), isNear = instant.getFullYear() === now.getFullYear();
    element.textContent = (isToday ? ofToday : isNear ? ofThisYear : ofOtherYears).format(instant);
  }
}

// Shows viewers' times, and the buttons that need this script.
function enhance(within) {
  localise(within);
  for (const button of within.querySelectorAll(".copy")) button.hidden = false;
}

// A browser gives no clipboard without https: then the text is selected.
async function copy(button) {
  const text = document.getElementById(button.getAttribute("aria-describedby"));
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text);
    button.textContent = "Selected";
  }
}

// Returns the strip under the pointer, its day there, and that day's impact in words.
function dayAt({ target, clientX }) {
  const strip = target.closest?.("a.strip"), strips = document.getElementById("strips")?.dataset;
  if (!strip) return null;
  const { left, width } = strip.getBoundingClientRect(), last = 89;
  const number = Math.max(0, Math.min(last, Math.floor((clientX - left) / width * (last + 1))));
  const day = new Date(Date.parse(strips.first) + number * 86_400_000);
  const word = strips.words.split(",")[strip.dataset.days?.[number] ?? 6];
  return { strip, day, word: word === "Operational" ? "No incident known" : word };
}

// The notice waits a moment: a connection that comes back at once is not worth one.
function showLost() {
  lostAt ??= new Date();
  noticing ??= setTimeout(() => {
    notice.textContent = `Connection lost since ${ofToday.format(lostAt)}; what you see may be out of date`;
  }, PATIENCE);
}

function hideLost() {
  clearTimeout(noticing);
  lostAt = noticing = null;
  notice.textContent = "";
}

// Shows the server's page as it is now, or the notice.
async function update() {
  if (await refresh()) {
    if (source.readyState === EventSource.OPEN) hideLost();
    return;
  }
  showLost();
  clearTimeout(refetching);
  refetching = setTimeout(update, ANSWER_RETRY * (1 + Math.random()));
}

function listen() {
  clearTimeout(reconnecting);
  source?.close();
  source = new EventSource(streamAddress());
  source.onopen = () => { failures = 0; update(); };
  source.onmessage = plan;
  source.addEventListener("gap", plan);
  source.onerror = () => {
    // A browser does not reconnect after an answer that is no stream, such as 503 for one client too many.
    source.close();
    reconnecting = setTimeout(listen, Math.min(LAST_RETRY, FIRST_RETRY * 2 ** failures++) * (1 + Math.random()));
    showLost();
    update();
  };
}

function plan() {
  if (planned !== null) return;
  const pause = Math.max(0, refreshedAt + SHORTEST_PAUSE - Date.now());
  const run = () => { planned = null; update(); };
  planned = setTimeout(run, Math.max(pause, DEBOUNCE) + Math.random() * JITTER);
}

// Resolves to whether the server answered with a page.
async function refresh() {
  refreshedAt = Date.now();
  const number = ++asked;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(20_000) });
    if (!answer.ok) return false;
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (number > answered) replace(made);
    answered = Math.max(number, answered);
    return true;
  } catch {
    return false;
  }
}

function replace(made) {
  const old = document.getElementById("main"), main = made.getElementById("main");
  if (main.innerHTML === shown) return;
  shown = main.innerHTML;
  enhance(main);
  const opened = new Map([...old.querySelectorAll("details")].map((details) => [details.id, details.open]));
  for (const details of main.querySelectorAll("details")) details.open = opened.get(details.id) ?? details.open;
  const isNew = (element) => !document.getElementById(element.id);
  const fresh = [...main.querySelectorAll(".latest > li[id]")].filter(isNew);
  fresh.forEach((element) => element.classList.add("new"));
  const focused = placeOf(document.activeElement), anchor = scrollY > 0 ? topmost(old) : null;

  old.replaceWith(document.adoptNode(main));
  document.title = made.title;
  renewFilters(made);
  if (focused) elementAt(focused)?.focus({ preventScroll: true });
  const moved = anchor && document.getElementById(anchor.id);
  if (moved) scrollBy({ top: moved.getBoundingClientRect().top - anchor.top, behavior: "instant" });
  if (fresh.length) announce(fresh[0]);
}

// For screen readers.
function announce(update) {
  const text = (selector) => update.querySelector(selector).textContent;
  document.getElementById("news").textContent = `New: ${text("a")}: ${text(".said")}`;
}

// New pages appear in the filters too, unless someone is using them.
function renewFilters(made) {
  const old = document.getElementById("filters"), fresh = made.getElementById("filters");
  if (!fresh || old?.contains(document.activeElement) || (old && isEdited(old.querySelector("form")))) return;
  if (old?.querySelector(":popover-open")) return;
  if (old) old.replaceWith(document.adoptNode(fresh));
  else document.querySelector("header").append(document.adoptNode(fresh));
}

function isEdited(form) {
  const chosen = (select) => Math.max(0, [...select.options].findIndex((option) => option.defaultSelected));
  const isLeft = (field) => field.options ? field.selectedIndex === chosen(field) : field.value === field.defaultValue;
  return ![...form.querySelectorAll("select, input")].every(isLeft);
}

const REACHABLE = "a[href], summary, button";

function placeOf(element) {
  const holder = element?.matches?.(`main :is(${REACHABLE})`) ? element.closest("[id]") : null;
  return holder && { id: holder.id, index: [...holder.querySelectorAll(REACHABLE)].indexOf(element) };
}

function elementAt({ id, index }) {
  return document.getElementById(id)?.querySelectorAll(REACHABLE)[index];
}

function topmost(main) {
  for (const element of main.querySelectorAll("details[id]:not(.folded), li[id]")) {
    const { top, bottom } = element.getBoundingClientRect();
    if (bottom > 0) return { id: element.id, top };
  }
  return null;
}

enhance(document);
addEventListener("pointermove", (event) => {
  const found = dayAt(event);
  if (found) found.strip.title = `${ofDays.format(found.day)}: ${found.word}`;
});
// A click on a strip opens the day under the pointer; Enter opens the page's view, where each day is a link.
addEventListener("click", (event) => {
  if (event.target.matches?.(".copy")) copy(event.target);
  const found = dayAt(event);
  if (!found) return;
  const address = new URL(found.strip.href);
  if (event.detail) address.searchParams.set("day", found.day.toISOString().slice(0, 10));
  else address.searchParams.delete("day");
  found.strip.href = address;
}, { capture: true });
addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});
addEventListener("offline", showLost);
addEventListener("online", listen);
// A stream whose other end vanished looks open for long, and durations grow.
setInterval(update, LONGEST_SILENCE);
listen();
