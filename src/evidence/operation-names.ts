// Events on files, permissions and the network: which these are, and the numbers that stand for their names in ProcEvent.
import type {
  ConnectEvent,
  ExecFailedEvent,
  FileContentEvent,
  FileIoEvent,
  FileOpEvent,
  FileOperation,
  FileType,
  PermOpEvent,
  PermOperation,
} from './event.js';

export type OperationEvent =
  | FileOpEvent
  | FileIoEvent
  | FileContentEvent
  | PermOpEvent
  | ConnectEvent
  | ExecFailedEvent;

export const FILE_TYPES: readonly FileType[] = ['unknown', 'regular', 'virtual', 'network'];

/** By the numbers of `Operation`. */
export const OPERATIONS = [
  undefined,
  'read',
  'write',
  'open',
  'create',
  'delete',
  'rename',
  'mkdir',
  'rmdir',
  'link',
  'symlink',
  'truncate',
  'allocate',
  'chmod',
  'chown',
  'map',
  'setuid',
  'setgid',
  'setreuid',
  'setregid',
  'setresuid',
  'setresgid',
  'capset',
  'connect',
  'exec',
] as const;

/** By the numbers of DeepFlow's FileOpType and PermOpType. */
export const FILE_OPS: readonly (FileOperation | undefined)[] = [
  undefined,
  'create',
  'delete',
  'chmod',
  'chown',
];
export const PERM_OPS: readonly (PermOperation | undefined)[] = [
  undefined,
  'setuid',
  'setgid',
  'setreuid',
  'setregid',
];

export type Operation = (typeof OPERATIONS)[number];
