import { expect, test } from 'vitest';
import type { ConnectEvent, SocketEvent } from '../../src/evidence/event.js';
import { ConnectionOutcomes, EINPROGRESS } from '../../src/governance/connection-outcomes.js';

const base = { pid: 20, tid: 20, comm: 'curl', rootPid: 20 };

function connect(at: number, errno = EINPROGRESS, port = 443): ConnectEvent {
  const timeNs = BigInt(at);
  return {
    kind: 'connect',
    ...base,
    timeNs,
    endNs: timeNs + 2n,
    errno,
    family: 2,
    address: '192.0.2.1',
    port,
  };
}

function socket(
  at: number,
  operation: SocketEvent['operation'],
  more: { errno?: number; connection?: bigint; port?: number } = {},
): SocketEvent {
  const { errno = 0, connection = 1n, port = 443 } = more;
  return {
    kind: 'socket',
    ...base,
    timeNs: BigInt(at),
    operation,
    connection,
    carries: 0n,
    local: { address: '192.0.2.9', port: 40_000 },
    remote: { address: '192.0.2.1', port },
    content: 'unknown',
    sent: 0,
    received: 0,
    errno,
  };
}

/** The error numbers that the calls end up with, in their order; undefined for those that nothing was told of. */
function outcomesOf(events: readonly (ConnectEvent | SocketEvent)[]): (number | undefined)[] {
  const outcomes = new ConnectionOutcomes();
  const found: (number | undefined)[] = [];
  for (const event of events) {
    if (event.kind === 'socket') {
      outcomes.push(event);
      continue;
    }
    const nth = found.push(undefined) - 1;
    outcomes.begun(event, (errno) => {
      found[nth] = errno;
    });
  }
  return found;
}

test.each([
  ['a connection that is made', [connect(1), socket(9, 'connect')], [0]],
  ['one that is made before the call returns', [socket(2, 'connect'), connect(1)], [0]],
  ['one that is refused', [connect(1), socket(9, 'close', { errno: 111 })], [111]],
  ['one that the capture does not see the end of', [connect(1)], [undefined]],
  ['a call that tells by itself', [connect(1, 0), socket(2, 'connect')], [undefined]],
  [
    'one that is made and reset later, and a second that is refused',
    [
      connect(1),
      socket(2, 'connect'),
      socket(5, 'close', { errno: 104 }),
      connect(7),
      socket(9, 'close', { errno: 111, connection: 2n }),
    ],
    [0, 111],
  ],
  [
    'two at once to different ports',
    [
      connect(1, EINPROGRESS, 80),
      connect(3),
      socket(5, 'connect', { connection: 2n }),
      socket(6, 'close', { port: 80, errno: 113 }),
    ],
    [113, 0],
  ],
  ['what was made before the call is not its outcome', [socket(1, 'connect'), connect(5)], [undefined]],
])('%s', (_, events, outcomes) => {
  expect(outcomesOf(events)).toEqual(outcomes);
});

test('what waits in vain is forgotten', () => {
  const outcomes = new ConnectionOutcomes();
  let settled = 0;
  const count = (): void => {
    settled++;
  };
  for (let port = 1; port <= 5000; port++) outcomes.begun(connect(1, EINPROGRESS, port), count);
  for (let port = 1; port <= 5000; port++)
    outcomes.push(socket(9, 'connect', { connection: BigInt(port), port }));
  expect(settled).toBe(4096);
});
