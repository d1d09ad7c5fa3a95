import { Command } from 'commander';
import type { Terminal } from '../terminal.ts';
import { buildCommand } from './build.ts';
import { inspectCommand } from './inspect.ts';
import { newCommand } from './new.ts';
import { pinCommand } from './pin.ts';
import { runCommand } from './run.ts';
import { testCommand } from './test.ts';

export function pluginCommand(terminal: Terminal): Command {
  const command = new Command('plugin').description('write, build, test and look into policy plugins');
  for (const sub of [newCommand, buildCommand, testCommand, runCommand, inspectCommand, pinCommand]) {
    command.addCommand(sub(terminal));
  }
  return command;
}
