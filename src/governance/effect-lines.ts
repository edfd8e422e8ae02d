// What processes did, as lines for a terminal.

import { counted } from '../render/counted.js';
import { describeRequest } from '../render/exchange-lines.js';
import { renderTable } from '../render/table.js';
import { singleLine } from '../render/terminal.js';
import { EINPROGRESS } from './connection-outcomes.js';
import {
  type EffectBase,
  type Effects,
  type FileEffect,
  firstTime,
  type HttpEffect,
  type ProcessEffect,
} from './effects.js';
import type { ToolCallEffects } from './tool-call-effects.js';

const cellWidth = 100;

/** For a terminal: what each call caused, one line each. */
export function describeToolCalls(calls: readonly ToolCallEffects[]): string {
  const rows = calls.flatMap((call) => {
    const head = [call.tool_call_id, call.tool ?? '', singleLine(call.request ?? '', cellWidth), '', ''];
    return [head, ...effectLines(call).map(({ what, result, how }) => ['', '', `  ${what}`, result, how])];
  });
  return renderTable(['Tool call', 'Tool', 'What', 'Result', 'Found by'], rows);
}

export interface EffectLine {
  time: number;
  what: string;
  result: string;
  how: string;
}

const unixSocket = 1;
/** What builds the sandbox around a command does much of no interest; the command itself runs another program. */
const sandboxPrograms = /(?:^|\/)(?:codex-linux-sandbox|bwrap)$/;

/**
 * What was done, in the order of time. What its sandbox did to build itself is one line at the end, and forks that went
 * well with their parent's program are another: shells make many.
 */
export function effectLines(effects: Effects): EffectLine[] {
  const isOfCommand = ({ program }: EffectBase): boolean => !sandboxPrograms.test(program);
  const files = effects.files.filter(isOfCommand);
  const permissions = effects.permissions.filter(isOfCommand);
  const processes = effects.processes.filter((process) => !isMereFork(process));
  const lines: EffectLine[] = [
    ...processes.map((process) => ({
      time: process.time,
      what: singleLine(`process ${process.pid}: ${describeCommand(process)}`, cellWidth),
      result: describeEnd(process),
      how: process.attribution ?? '',
    })),
    ...files.filter(isTold).map((file) => ({
      time: file.time,
      what: singleLine(`${file.event_type} ${file.path}${describeTarget(file)}`, cellWidth),
      result: errorName(file.errno),
      how: file.attribution ?? '',
    })),
    ...permissions.map((permission) => ({
      time: permission.time,
      what: singleLine(
        `${permission.event_type} ${permission.capabilities ?? permission.new_ids.join(' ')}`,
        cellWidth,
      ),
      result: errorName(permission.errno),
      how: permission.attribution ?? '',
    })),
  ];
  // Of several that did the like at the same time, each is named.
  const by = (pid: number): string => (processes.length > 1 ? `, by ${pid}` : '');
  for (const { time, pid, family, address, port, errno, attribution } of effects.connections) {
    if (family === unixSocket) continue;
    const what = singleLine(`connect ${address} port ${port}${by(pid)}`, cellWidth);
    const result = errno === EINPROGRESS ? 'begun' : errorName(errno);
    lines.push({ time, what, result, how: attribution ?? '' });
  }
  for (const request of effects.http_requests) {
    const { time, pid, method, host, path, attribution } = request;
    const end = by(pid);
    const what = `${singleLine(describeRequest(method, host, path), cellWidth - end.length)}${end}`;
    lines.push({ time, what, result: describeAnswer(request), how: attribution ?? '' });
  }
  lines.sort((a, b) => a.time - b.time);
  const time = lines.at(-1)?.time ?? firstTime(effects) ?? 0;
  const left = effects.files.length - files.length + effects.permissions.length - permissions.length;
  const forks = effects.processes.length - processes.length;
  if (left > 0) {
    const what = `${counted(left, 'operation')} of the sandbox on itself (--json has them)`;
    lines.push({ time, what, result: '', how: '' });
  }
  if (forks > 0) {
    const what = `${counted(forks, 'fork')} that ran no program (--json has them)`;
    lines.push({ time, what, result: '', how: '' });
  }
  return lines;
}

function describeAnswer({ status, sent_bytes, received_bytes, complete }: HttpEffect): string {
  return [
    status === null ? 'no answer seen' : `${status}`,
    ...(sent_bytes > 0 ? [`${counted(sent_bytes, 'byte')} sent`] : []),
    ...(received_bytes > 0 ? [`${counted(received_bytes, 'byte')} received`] : []),
    ...(status !== null && !complete ? ['not to its end'] : []),
  ].join(', ');
}

function isMereFork({ commands, exit_code, signal }: ProcessEffect): boolean {
  return commands.length === 0 && signal === null && (exit_code ?? 0) === 0;
}

/** Shells try one directory after the other, and a wrapper becomes what it wraps: the last success tells. */
function describeCommand({ commands, parent_pid }: ProcessEffect): string {
  const last = commands.findLast(({ errno }) => errno === 0) ?? commands.at(-1);
  if (last === undefined) return `fork of process ${parent_pid}`;
  return last.errno === 0 ? last.cmdline : `${last.exec_path} (${errorName(last.errno)})`;
}

function describeEnd({ signal, exit_code, went_on }: ProcessEffect): string {
  if (signal !== null) return `signal ${signal}`;
  if (exit_code !== null) return `exit ${exit_code}`;
  return went_on ? 'went on for a tool call' : 'running';
}

/** What is written to a file that was opened is told by itself, and a device is no file. */
function isTold({ event_type, errno, path }: FileEffect): boolean {
  return event_type !== 'open' || (errno !== 0 && !path.startsWith('/dev/'));
}

function describeTarget({ event_type, target, mode, uid, gid, bytes }: FileEffect): string {
  if (target !== null) return ` → ${target}`;
  if (event_type === 'chown') return ` to ${ownerName(uid)}:${ownerName(gid)}`;
  if (event_type === 'chmod' && mode !== null) return ` to ${mode.toString(8).padStart(4, '0')}`;
  return event_type === 'write' ? `, ${bytes} bytes` : '';
}

const unchangedId = 0xffff_ffff;
const ownerName = (id: number | null): string => (id === null || id === unchangedId ? '' : String(id));

function errorName(errno: number): string {
  return errno === 0 ? 'ok' : (systemErrorNames.get(errno) ?? `errno ${errno}`);
}

/** The errors of Linux that file and permission calls give, by number: the host that reads may be another system. */
const systemErrorNames = new Map([
  [1, 'EPERM'],
  [2, 'ENOENT'],
  [5, 'EIO'],
  [6, 'ENXIO'],
  [9, 'EBADF'],
  [13, 'EACCES'],
  [16, 'EBUSY'],
  [17, 'EEXIST'],
  [18, 'EXDEV'],
  [20, 'ENOTDIR'],
  [21, 'EISDIR'],
  [22, 'EINVAL'],
  [26, 'ETXTBSY'],
  [27, 'EFBIG'],
  [28, 'ENOSPC'],
  [30, 'EROFS'],
  [31, 'EMLINK'],
  [36, 'ENAMETOOLONG'],
  [39, 'ENOTEMPTY'],
  [40, 'ELOOP'],
  [95, 'EOPNOTSUPP'],
  [101, 'ENETUNREACH'],
  [104, 'ECONNRESET'],
  [110, 'ETIMEDOUT'],
  [111, 'ECONNREFUSED'],
  [113, 'EHOSTUNREACH'],
  [122, 'EDQUOT'],
]);
