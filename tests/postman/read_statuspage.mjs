// Print, as JSON, what https://www.npmjs.com/package/statuspage.io reads at the address that is given.
import statuspage from "statuspage.io";

const client = new statuspage.Statuspage("page");
client.setApiUrl(process.argv[2]);
const names = (those) => those.map((one) => one.name);
const summary = await client.api.getSummary();
const newest = await client.api.incidents.getAll();
console.log(JSON.stringify({
  status: summary.status,
  components: names(summary.components),
  incidents: names(summary.incidents),
  maintenances: names(summary.scheduled_maintenances),
  newest: names(newest.incidents),
}));
