/** The real daemon, asked by an unprivileged client: the shortest way from end to end. */
import assert from 'node:assert/strict';
import { readMemlockShown } from '../../../host-api/kernel/proc.ts';
import { bytes } from '../../../host-api/limit.ts';
import { check } from '../guest/check.ts';
import { Client } from '../guest/client.ts';

const GIB = 2 ** 30;

check('raises what the client itself may not raise', async () => {
  const client = await Client.start();
  await assert.rejects(
    client.does('set_memlock', GIB, GIB),
    /not allowed to raise maximum limit|not permitted/,
  );
  const { outcome } = await client.ask('SetMemlock', { hardBytes: GIB });
  assert.deepEqual(outcome.memlock[0]?.after, { soft: { bytes: GIB }, hard: { bytes: GIB } });
  assert.deepEqual(await client.does('memlock'), [GIB, GIB]);
  assert.deepEqual(readMemlockShown(client.pid), { soft: bytes(BigInt(GIB)), hard: bytes(BigInt(GIB)) });
});
