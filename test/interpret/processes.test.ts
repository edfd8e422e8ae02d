import { expect, test } from 'vitest';
import { type CommandRequest, Processes } from '../../src/interpret/processes.js';
import { execEvent } from '../support/wire.js';

test('what began after a call had ended is not its process, in whatever order the two are met', () => {
  const processes = new Processes();
  processes.talks(100);
  processes.exec(execEvent(30n, { pid: 7, parentPid: 100, argv: ['sh', '-c', 'ls'] }));
  const request: CommandRequest = {
    ...{ agentPid: 100, threadId: 'thread', command: 'ls', startedNs: 10n },
    endedNs: 20n,
  };
  expect(processes.takeUnnamed(request).process).toBeUndefined();
  expect(processes.takeUnnamed({ ...request, endedNs: 30n }).process).toMatchObject({ pid: 7 });
});
