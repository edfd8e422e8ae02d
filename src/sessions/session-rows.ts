// The session map as rows for a table: threads indented below their parents and, where a session has more
// than one, below a row of its sums.
import type { MappedThread, Session } from './session-map.js';

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

export function sessionRows(sessions: readonly Session[]): string[][] {
  return sessions.flatMap(({ session_id, threads }) => {
    const isPlain = threads.length === 1 && threads[0]?.thread_id === session_id;
    const indent = isPlain ? 0 : 1;
    const rows = inTreeOrder(threads).map(({ thread, depth }) => threadRow(thread, depth + indent));
    return isPlain ? rows : [sessionRow(session_id, threads), ...rows];
  });
}

function sessionRow(id: string, threads: readonly MappedThread[]): string[] {
  const sum = (value: (thread: MappedThread) => number) =>
    `${threads.reduce((total, thread) => total + value(thread), 0)}`;
  return [
    id,
    'session',
    '',
    '',
    sum(({ turns }) => turns),
    sum(({ usage }) => usage.input_tokens),
    sum(({ usage }) => usage.cached_input_tokens),
    sum(({ usage }) => usage.output_tokens),
    sum(({ responses }) => responses.length),
    seconds(threads[0]?.started_at),
    threads[0]?.cwd ?? '',
  ];
}

function threadRow(thread: MappedThread, depth: number): string[] {
  const { usage } = thread;
  const agent = [thread.agent_path, thread.nickname, thread.role].filter((name) => name !== null);
  return [
    `${'  '.repeat(depth)}${thread.thread_id}`,
    thread.kind,
    agent.join(' '),
    thread.models.join(' '),
    `${thread.turns}`,
    `${usage.input_tokens}`,
    `${usage.cached_input_tokens}`,
    `${usage.output_tokens}`,
    `${thread.responses.length}`,
    seconds(thread.started_at),
    thread.cwd ?? '',
  ];
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
