import { Command } from 'commander';
import type { Terminal } from '../terminal.ts';
import { showCommand } from './show.ts';
import { verifyCommand } from './verify.ts';

export function auditCommand(terminal: Terminal): Command {
  return new Command('audit')
    .description('read the audit log, and prove that nothing was cut out')
    .addCommand(showCommand(terminal))
    .addCommand(verifyCommand(terminal));
}
