/** Tells systemd how the daemon is (sd_notify(3), sd_watchdog_enabled(3)). Without systemd nothing is sent. */
import type { Logger } from 'pino';
import { sendDatagram } from '../host-api/kernel/notify.ts';

export class ServiceManager {
  readonly #address: string | undefined;
  readonly #watchdogMs: number | undefined;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | undefined;

  /** Takes its variables out of `env`: what the daemon starts must not speak in its name. */
  constructor(env: NodeJS.ProcessEnv, pid: number, logger: Logger) {
    const { NOTIFY_SOCKET: address, WATCHDOG_USEC: usec, WATCHDOG_PID: watched } = env;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
    this.#address = address !== undefined && /^[/@]/.test(address) ? address : undefined;
    const forUs = watched === undefined || Number(watched) === pid;
    this.#watchdogMs = forUs && /^\d+$/.test(usec ?? '') ? Number(usec) / 1000 : undefined;
    this.#logger = logger;
  }

  /** It listens. From now on the watchdog is fed by the daemon's own loop: one that hangs is killed and started anew. */
  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${oneLine(status)}`);
    if (this.#address === undefined || this.#watchdogMs === undefined || this.#watchdogMs < 2) return;
    this.#timer = setInterval(() => this.#send('WATCHDOG=1'), this.#watchdogMs / 2).unref();
  }

  stopping(): void {
    clearInterval(this.#timer);
    this.#send('STOPPING=1\nSTATUS=finishing what is under way');
  }

  #send(message: string): void {
    if (this.#address === undefined) return;
    try {
      sendDatagram(this.#address, message);
    } catch (error) {
      this.#logger.warn({ reason: (error as Error).message }, 'the service manager cannot be told');
    }
  }
}

function oneLine(text: string): string {
  return text.replaceAll('\n', ' ');
}
