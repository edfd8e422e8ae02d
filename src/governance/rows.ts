// Events as rows of the tables, each with the columns of columns.ts in their order. Keys and tokens in what programs
// were given are redacted.

import type {
  EventBase,
  ExecEvent,
  ExecFailedEvent,
  ExitEvent,
  FileOpEvent,
  FileRef,
  ForkEvent,
  PermOpEvent,
} from '../evidence/event.js';
import { Redactor } from '../interpret/redact.js';
import { redactArguments } from '../interpret/redact-arguments.js';
import type { Row } from './columns.js';
import type { FileAggregate } from './file-aggregate.js';
import type { Cause, Process } from './processes.js';
import { shellQuote } from './shell-quote.js';

const NS_PER_US = 1000n;
/** Of open(2), on x64 and arm64; the host that reads may be another system. */
const O_TRUNC = 0o1000;
/** No key or token is shorter. */
const shortestSecret = 16;

export class Rows {
  #redactor: Redactor;

  /** @param salt of the capture, for the hashes that stand for secrets. */
  constructor(salt: Uint8Array) {
    this.#redactor = new Redactor(salt);
  }

  fileAggregate({ event, cause, endNs, bytes, count, durationNs, offset }: FileAggregate): Row {
    return {
      ...common(event, event.operation, endNs),
      ...this.#file(event),
      bytes,
      duration: micros(durationNs),
      offset,
      access_permission: event.mode ?? null,
      event_count: count,
      ...causeColumns(event.errno, cause),
    };
  }

  fileManagement(event: FileOpEvent, cause: Cause): Row {
    const target = event.target === undefined ? undefined : this.text(event.target);
    // What a symbolic link says is not taken apart.
    const isPath = target !== undefined && event.operation !== 'symlink';
    const [targetDir, targetName] = isPath ? splitPath(target) : [null, target ?? null];
    return {
      ...common(event, emptiesFile(event) ? 'truncate' : event.operation, event.endNs),
      ...this.#file(event),
      bytes: 0,
      duration: micros(event.endNs - event.timeNs),
      // Of what has a length in it, where the file ends afterwards.
      offset: event.length ?? 0,
      access_permission: (event.operation === 'chmod' ? event.wantedMode : event.mode) ?? null,
      event_count: 1,
      target_dir: targetDir,
      target_name: targetName,
      target_uid: event.ownerUid ?? null,
      target_gid: event.ownerGid ?? null,
      target_mode: event.wantedMode ?? null,
      ...causeColumns(event.errno, cause),
    };
  }

  permission(event: PermOpEvent, cause: Cause): Row {
    const [new_uid, new_gid] = newIds(event);
    const { capabilities } = event;
    return {
      ...common(event, event.operation, event.endNs),
      old_uid: event.uid,
      old_gid: event.gid,
      new_uid,
      new_gid,
      new_ids: event.ids,
      capabilities:
        capabilities === undefined
          ? null
          : Object.entries(capabilities)
              .map(([set, mask]) => `${set}=${mask.toString(16).padStart(16, '0')}`)
              .join(' '),
      ...causeColumns(event.errno, cause),
    };
  }

  lifecycle(event: ForkEvent | ExecEvent | ExitEvent, process: Process): Row {
    const argv = redactArguments(process.argv, this.#redactor);
    return {
      ...common(event, event.kind, event.timeNs),
      parent_pid: event.parentPid,
      uid: event.uid,
      gid: event.gid,
      cmdline: shellQuote(argv),
      argv,
      exec_path: this.text(process.execPath),
      cwd: process.cwd === undefined ? null : this.text(process.cwd),
      exit_code: event.kind === 'exit' ? (event.exitCode ?? null) : null,
      signal: event.kind === 'exit' ? (event.signal ?? null) : null,
      ...causeColumns(0, process.cause),
    };
  }

  /** What the arguments would have been is not known; the process goes on with what it ran before. */
  execFailed(event: ExecFailedEvent, process: Process): Row {
    return {
      ...common(event, 'exec', event.endNs),
      parent_pid: process.parentPid,
      uid: event.uid,
      gid: event.gid,
      cmdline: '',
      argv: [],
      exec_path: this.text(event.execPath),
      cwd: event.cwd ?? process.cwd ?? null,
      exit_code: null,
      signal: null,
      ...causeColumns(event.errno, process.cause),
    };
  }

  #file({ path, fileType, pathInferred }: FileRef) {
    const [file_dir, file_name] = splitPath(this.text(path));
    return { file_dir, file_name, file_type: fileType, path_inferred: pathInferred ? 1 : 0 };
  }

  /** `text` without what is a secret. */
  text(text: string): string {
    return text.length < shortestSecret ? text : this.#redactor.text(text);
  }
}

/** An open that took from a file all that it held. */
function emptiesFile({ operation, flags = 0, errno, fileType }: FileOpEvent): boolean {
  return operation === 'open' && errno === 0 && fileType === 'regular' && (flags & O_TRUNC) !== 0;
}

/** As DeepFlow splits a path: the directory keeps its slash. */
function splitPath(path: string): [directory: string, name: string] {
  const slash = path.lastIndexOf('/') + 1;
  return [path.slice(0, slash), path.slice(slash)];
}

function micros(ns: bigint): number {
  return Number(ns / NS_PER_US);
}

function common(event: EventBase, type: string, endNs: bigint) {
  return {
    time: micros(event.timeNs),
    start_time: micros(event.timeNs),
    end_time: micros(endNs),
    event_type: type,
    process_kname: event.comm,
    pid: event.pid,
    root_pid: event.rootPid,
    syscall_thread: event.tid,
  };
}

function causeColumns(errno: number, { threadId, callId, by }: Cause) {
  return { errno, codex_thread_id: threadId, tool_call_id: callId, attribution: by };
}

function newIds({ operation, ids }: PermOpEvent): [uid: number | null, gid: number | null] {
  const [first = null, second = null] = ids;
  switch (operation) {
    case 'setuid':
      return [first, null];
    case 'setgid':
      return [null, first];
    // DeepFlow stores the real and the effective id here, whichever kind of id they are.
    case 'setreuid':
    case 'setregid':
      return [first, second];
    case 'setresuid':
      return [second, null];
    case 'setresgid':
      return [null, second];
    case 'capset':
      return [null, null];
  }
}
