// The numbers that stand for names in ProcEvent, by their place in each list.

import type { Direction, MissingReason, RecordedSource } from './event.js';

export const DIRECTIONS: readonly Direction[] = ['send', 'receive'];

/** DeepFlow's EventType: what the fields behind it tell of. */
export const EventType = { io: 1, fileOp: 2, permOp: 3, procLifecycle: 4 } as const;

/** DeepFlow has no number for a process that runs already. */
export const LIFECYCLE_KINDS = ['running', 'fork', 'exec', 'exit'] as const;

export const RECORDED_SOURCES: readonly (RecordedSource | undefined)[] = [
  undefined,
  'processes',
  'tls',
  'sockets',
  'files',
];

export const MISSING_REASONS: readonly (MissingReason | undefined)[] = [
  undefined,
  'over-limit',
  'unreadable',
];
