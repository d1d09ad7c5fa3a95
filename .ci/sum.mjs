// Sums the reports of all suites in a folder into the one closing line. A suite without a report is a failure.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2];
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
const SCRIPTS = { 'vm.json': 'test:vm', 'spec.json': 'test:spec' };
const total = { passed: 0, failed: 0, skipped: 0 };
for (const name of ['vitest-node.json', 'vitest-node24.json', 'vm.json', 'spec.json']) {
  const file = join(folder, name);
  if (!existsSync(file)) {
    // A suite that the project doesn't have yet.
    if (SCRIPTS[name] !== undefined && scripts[SCRIPTS[name]] === undefined) continue;
    if (name === 'spec.json' && !existsSync('../shared/wasm-testsuite')) continue;
    console.log(`${name}: no report`);
    total.failed++;
    continue;
  }
  const report = JSON.parse(readFileSync(file, 'utf8'));
  // vitest's own form, or ours: { passed, failed, skipped }.
  total.passed += report.numPassedTests ?? report.passed;
  total.failed += report.numFailedTests ?? report.failed;
  total.skipped += (report.numPendingTests ?? report.skipped) + (report.numTodoTests ?? 0);
  // A file that can't be loaded counts no test, and is a failure all the same.
  total.failed +=
    report.numFailedTestSuites > 0 && report.numFailedTests === 0 ? report.numFailedTestSuites : 0;
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
