// Print, as JSON, what https://www.npmjs.com/package/statuspage.io reads at the address that is given.
import statuspage from "statuspage.io";

const client = new statuspage.Statuspage("page");
client.setApiUrl(process.argv[2]);
const names = (those) => those.map((one) => one.name);
const summary = await client.api.getSummary();
const { incidents, scheduledMaintenances } = client.api;
console.log(JSON.stringify({
  status: summary.status,
  worst: (await client.api.getStatus()).status,
  components: names(summary.components),
  pages: names((await client.api.getComponents()).components),
  incidents: names(summary.incidents),
  newest: names((await incidents.getAll()).incidents),
  unresolved: names((await incidents.getUnresolved()).incidents),
  maintenances: names(summary.scheduled_maintenances),
  upcoming: names((await scheduledMaintenances.getUpcoming()).scheduled_maintenances),
}));
