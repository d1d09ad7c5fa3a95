/** Which log is meant: the one that is named, or that of a deploy directory. */
import { Command } from 'commander';
import { auditHeadFile } from '../../audit/log.ts';
import { auditFiles } from '../../audit/verify.ts';
import { readDeputyToml } from '../../config/deploy.ts';
import { withJson } from '../daemon.ts';
import { EXIT, Failure } from '../exit-code.ts';

export interface AuditOptions {
  readonly config: string;
  readonly json?: boolean;
}

export function auditBase(name: string): Command {
  return withJson(
    new Command(name)
      .argument('[file]', "the log; its rotated files FILE.1 … are read too (else deputy.toml's audit.file)")
      .option('--config <dir>', 'deploy directory', '/etc/deputy'),
  );
}

export interface AuditPlace {
  /** Oldest first. */
  readonly files: readonly string[];
  /** Where the daemon keeps the number of the last record; undefined for a log that was only named. */
  readonly headFile: string | undefined;
}

/** Throws Failure where there is no such log. */
export function findAudit(file: string | undefined, directory: string): AuditPlace {
  const config = file === undefined ? readDeputyToml(directory) : undefined;
  if (file === undefined && config === undefined) {
    throw new Failure(
      EXIT.usage,
      `${directory} has no deputy.toml that can be read: name the log, or run deputyctl check ${directory}`,
    );
  }
  const log = file ?? config?.audit.file ?? '';
  const files = auditFiles(log);
  if (files.length === 0) throw new Failure(EXIT.usage, `there is no audit log ${log}`);
  return { files, headFile: config && auditHeadFile(config.state.directory) };
}
