import { expect, test } from 'vitest';
import type { ExecEvent } from '../../src/evidence/event.js';
import { Rows } from '../../src/governance/rows.js';

const argv = ['curl', '-su', 'user:x', '--token', 'y', 'http://host.test/'];
const event: ExecEvent = {
  kind: 'exec',
  timeNs: 1000n,
  pid: 7,
  tid: 7,
  rootPid: 7,
  comm: 'curl',
  parentPid: 1,
  uid: 0,
  gid: 0,
  execPath: '/usr/bin/curl',
  argv,
  argvMissing: 0,
  environment: {},
};

test('the row of a process shows no password, short as it may be, in its arguments and its command line', () => {
  const cause = { threadId: null, callId: null, by: null };
  const process = { pid: 7, parentPid: 1, argv, execPath: event.execPath, cwd: undefined, cause };
  const row = new Rows(new Uint8Array(32)).lifecycle(event, process);
  const mark = /\[redacted:[0-9a-f]{12}\]/g;
  expect(JSON.stringify(row.argv).replace(mark, '…')).toBe(
    JSON.stringify(['curl', '-su', 'user:…', '--token', '…', 'http://host.test/']),
  );
  expect(String(row.cmdline).replace(mark, '…')).toBe("curl -su 'user:…' --token '…' http://host.test/");
});
