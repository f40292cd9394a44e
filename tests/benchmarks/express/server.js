// The job of baselines.py in Express: `node server.js PORT`.

import express from "express";

const MOST_SEEN = 100_000;
const seen = new Set();
const oldest = new Array(MOST_SEEN);
let count = 0;

const utc = (time) => new Date(time).toISOString();

function isNew(key) {
  if (seen.has(key)) return false;
  seen.delete(oldest[count % MOST_SEEN]);
  oldest[count++ % MOST_SEEN] = key;
  seen.add(key);
  return true;
}

function twoLines(page, incident, at) {
  const newest = incident.incident_updates.reduce((a, b) => (utc(a.created_at) < utc(b.created_at) ? b : a));
  const names = incident.components.map((component) => component.name).join(", ");
  return `[${at.slice(0, 19).replace("T", " ")}] Product: ${page.id} - ${names}\nStatus: ${newest.body}\n`;
}

const app = express();

app.post("/webhook/statuspage", express.json({ limit: "1mb" }), (request, response) => {
  const { page, incident } = request.body;
  const at = utc(incident.updated_at);
  if (!isNew(JSON.stringify([page.id, incident.id, at]))) return response.json({ status: "duplicate" });
  process.stdout.write(twoLines(page, incident, at)); // a file and a pipe are written at once on Linux
  response.json({ status: "accepted" });
});

app.get("/health", (_, response) => response.json({ status: "ok" }));

app.listen(Number(process.argv[2]), "127.0.0.1");
