/** Loads the case files, all or those the filter may match, and runs them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beginSuite, runChecks } from './check.ts';
import { say } from './results.ts';

const CASES = join(import.meta.dirname, '../cases');

const filter = new RegExp(process.env['DEPUTY_VM_FILTER'] ?? '', 'i');
const files = readdirSync(CASES)
  .filter((name) => name.endsWith('.js'))
  .sort();
for (const file of files) {
  beginSuite(file.replace(/^\d+-|\.js$/g, ''));
  await import(join(CASES, file));
}
say(`cases loaded after ${Math.round(performance.now())} ms`);
// Whatever a case left behind must not keep the guest running.
process.exit((await runChecks(filter)) ? 0 : 1);
