#!/usr/bin/env node
import { run } from './cli/run.ts';
import { Terminal } from './cli/terminal.ts';

// `deputyctl ledger | head`: the reader has enough, and that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const terminal = new Terminal(
  { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) },
  process.env,
);
process.exitCode = await run(process.argv.slice(2), terminal);
