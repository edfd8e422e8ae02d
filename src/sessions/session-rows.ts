// The session map as rows for tables: threads indented below their parents and, where a session has more than
// one, below a row of its sums; the turns of a thread below it; the processes of captures.
import { counted } from '../render/counted.js';
import type { MappedExchange, MappedProcess } from './captured-bundle.js';
import type { MappedThread, Session } from './mapped-thread.js';
import type { TokenUsage } from './token-usage.js';

export const SESSION_HEAD = [
  'Session / thread',
  'Kind',
  'Agent',
  'Model',
  'Turns',
  'Input',
  'Cached',
  'Output',
  'Responses',
  'Started',
  'Directory',
];

export const PROCESS_HEAD = ['Process', 'Role', 'Started', 'Threads', 'Known by', 'Program'];

/** @param withTurns a row for each turn below its thread */
export function sessionRows(sessions: readonly Session[], withTurns = false): string[][] {
  return sessions.flatMap((session) => {
    const { session_id, threads } = session;
    const isPlain = threads.length === 1 && threads[0]?.thread_id === session_id;
    const indent = isPlain ? 0 : 1;
    const rows = inTreeOrder(threads).flatMap(({ thread, depth }) => [
      threadRow(thread, depth + indent),
      ...(withTurns ? turnRows(thread, depth + indent + 1) : []),
    ]);
    return isPlain ? rows : [sessionRow(session), ...rows];
  });
}

export function processRows(processes: readonly MappedProcess[]): string[][] {
  return processes.map(({ pid, role, role_certain, started_at, threads, executable }) => [
    `${pid}`,
    role === null ? '' : `${role}${role_certain === false ? '?' : ''}`,
    started_at === null ? 'before the capture' : seconds(started_at),
    threads.map(({ thread_id }) => thread_id).join('\n'),
    threads.map(({ by }) => by).join('\n'),
    executable ?? '',
  ]);
}

function sessionRow({ session_id, threads, usage }: Session): string[] {
  const sum = (value: (thread: MappedThread) => number) =>
    `${threads.reduce((total, thread) => total + value(thread), 0)}`;
  return [
    session_id,
    'session',
    '',
    '',
    sum(({ turns }) => turns),
    ...tokens(usage),
    sum(({ responses }) => responses.length),
    seconds(threads[0]?.started_at),
    threads[0]?.cwd ?? '',
  ];
}

function threadRow(thread: MappedThread, depth: number): string[] {
  const agent = [thread.agent_path, thread.nickname, thread.role].filter((name) => name !== null);
  return [
    `${'  '.repeat(depth)}${thread.thread_id}`,
    thread.orphan ? `${thread.kind}, orphan` : thread.kind,
    agent.join(' '),
    thread.models.join(' '),
    `${thread.turns}`,
    ...tokens(thread.usage),
    `${thread.responses.length}`,
    seconds(thread.started_at),
    thread.cwd ?? '',
  ];
}

function turnRows({ turn_list }: MappedThread, depth: number): string[][] {
  return turn_list.map(({ turn_id, status, model, usage, started_at }) => [
    `${'  '.repeat(depth)}${turn_id ?? '(no id)'}`,
    `turn, ${status}`,
    '',
    model ?? '',
    '',
    ...tokens(usage),
    '',
    seconds(started_at),
    '',
  ]);
}

function tokens(usage: TokenUsage): string[] {
  return [`${usage.input_tokens}`, `${usage.cached_input_tokens}`, `${usage.output_tokens}`];
}

function seconds(time: string | null | undefined): string {
  return time?.replace(/\.\d+/, '') ?? '';
}

/** Parents before their children; a thread whose parent is not in the session stands at the top. */
function inTreeOrder(threads: readonly MappedThread[]): { thread: MappedThread; depth: number }[] {
  const children = new Map<string, MappedThread[]>(threads.map(({ thread_id }) => [thread_id, []]));
  const tops = threads.filter((thread) => {
    const siblings = children.get(thread.parent_thread_id ?? '');
    siblings?.push(thread);
    return siblings === undefined;
  });
  const ordered = new Map<MappedThread, number>();
  const place = (thread: MappedThread, depth: number) => {
    if (ordered.has(thread)) return;
    ordered.set(thread, depth);
    for (const child of children.get(thread.thread_id) ?? []) place(child, depth + 1);
  };
  // Behind the tops come threads that call each other parent, which only a damaged file does.
  for (const thread of [...tops, ...threads]) place(thread, 0);
  return [...ordered].map(([thread, depth]) => ({ thread, depth }));
}

/** `14 exchanges: 12 by header, 1 by pid, 1 without a thread`. */
export function exchangeSummary(exchanges: readonly MappedExchange[]): string {
  const counts = new Map<string, number>();
  for (const { by } of exchanges) {
    const how = by === null ? 'without a thread' : `by ${by}`;
    counts.set(how, (counts.get(how) ?? 0) + 1);
  }
  const parts = [...counts].map(([how, count]) => `${count} ${how}`);
  return [counted(exchanges.length, 'exchange'), ...(parts.length > 0 ? [parts.join(', ')] : [])].join(': ');
}
