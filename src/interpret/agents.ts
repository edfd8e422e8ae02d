// What the agents of a rollout did to each other: spawned, messaged, interrupted, closed, answered. A call names its
// agent by path or id, and which thread that is shows when the agent sends a request: all is told at the end.

import type { RawEventPayload } from '../trace/raw-event.js';
import { type JsonObject, parseObject, stringAt } from './json.js';
import type { Rollout } from './rollout.js';
import type { Thread } from './thread.js';
import { toMs } from './time.js';
import type { ToolRun } from './tools.js';

/** A successful call of a tool that acts on agents. */
interface Act {
  threadId: string;
  run: ToolRun;
  output: string;
  atNs: bigint;
}

/** A message between agents, as its recipient's request shows it. */
interface Message {
  threadId: string;
  author: string;
  text: string;
  atNs: bigint;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** The namespace of the first generation of these tools: its agents have ids, those of the second have paths. */
const FIRST_GENERATION = 'multi_agent_v1';
/** How an agent reports that it is done. */
const FINAL_ANSWER = /^Message Type: FINAL_ANSWER\n(?:[^\n]*\n)*?Payload:\n/;
const ERROR_REPORT = /^Agent errored: ([^\n]*)/;

export class Agents {
  readonly #rollout: Rollout;
  readonly #acts: Act[] = [];
  readonly #messages: Message[] = [];

  constructor(rollout: Rollout) {
    this.#rollout = rollout;
  }

  acted(threadId: string, run: ToolRun, output: string, atNs: bigint): void {
    this.#acts.push({ threadId, run, output, atNs });
  }

  /** Whether another agent has interrupted `agent` or closed it. */
  interrupted(agent: Thread): boolean {
    const tree = new AgentTree([...this.#rollout.threads]);
    return this.#acts.some(({ threadId, run }) => {
      if (run.kind.type !== 'close_agent') return false;
      const sender = tree.byId(threadId);
      return sender !== undefined && tree.named(sender, stringAt(run.args, 'target') ?? '') === agent;
    });
  }

  received(threadId: string, item: JsonObject, atNs: bigint): void {
    const content = Array.isArray(item.content) ? item.content : [];
    const text = content.length === 1 ? stringAt(content[0], 'text') : undefined;
    const author = stringAt(item, 'author');
    if (text === undefined || author === undefined || !FINAL_ANSWER.test(text)) return;
    this.#messages.push({ threadId, author, text, atNs });
  }

  /** Tells who acted on whom, and each thread's beginning. All turns have ended by now as far as they will. */
  finish(threads: readonly Thread[]): void {
    const tree = new AgentTree(threads);
    for (const act of this.#acts) this.#tell(act, tree);
    for (const thread of threads) thread.announce();
    for (const message of this.#messages) this.#tellResult(message, tree);
  }

  #tell(act: Act, tree: AgentTree): void {
    const sender = tree.byId(act.threadId);
    // The reference refuses a bundle with an id that is no UUID.
    if (sender === undefined || !UUID.test(sender.id)) return;
    const { run } = act;
    // The reference reads the message where the model wrote it.
    if (run.kind.type !== 'close_agent' && stringAt(run.args, 'message') === undefined) return;
    if (run.namespace === FIRST_GENERATION) this.#firstGeneration(act, tree);
    else if (run.kind.type === 'spawn_agent') {
      const path = stringAt(parseObject(act.output), 'task_name');
      const spawned = path === undefined ? undefined : tree.spawned(sender, path, run.startedNs);
      if (spawned !== undefined) this.#activity(act, spawned, 'started');
    } else {
      const target = tree.named(sender, stringAt(run.args, 'target') ?? '');
      const kind = run.kind.type === 'close_agent' ? 'interrupted' : 'interacted';
      if (target !== undefined && isAddressed(run)) this.#activity(act, target, kind);
    }
  }

  /** The second generation: one event with the agent and what happened to it. */
  #activity(act: Act, agent: Thread, kind: 'started' | 'interacted' | 'interrupted'): void {
    agent.announce({ byNs: act.atNs });
    this.#runtime(act, 'tool_call_runtime_ended', {
      model: kind === 'started' ? agent.model : null,
      reasoning_effort: null,
      event_id: act.run.callId,
      occurred_at_ms: toMs(act.atNs),
      agent_thread_id: agent.id,
      agent_path: agent.agentPath,
      kind,
    });
  }

  /** The first generation: what was begun and what it led to, each with both threads. */
  #firstGeneration(act: Act, tree: AgentTree): void {
    const { run, threadId, output } = act;
    const answer = parseObject(output);
    const begun = { call_id: run.callId, started_at_ms: toMs(run.startedNs), sender_thread_id: threadId };
    const ended = { call_id: run.callId, completed_at_ms: toMs(act.atNs), sender_thread_id: threadId };
    const prompt = stringAt(run.args, 'message') ?? '';
    if (run.kind.type === 'spawn_agent') {
      const agent = tree.byId(stringAt(answer, 'agent_id') ?? '');
      if (agent === undefined || !UUID.test(agent.id)) return;
      const nickname = stringAt(answer, 'nickname') ?? null;
      agent.announce({ byNs: act.atNs, nickname });
      const asked = { prompt, model: agent.model ?? '', reasoning_effort: 'none' };
      this.#runtime(act, 'tool_call_runtime_started', { ...begun, ...asked });
      const made = { new_thread_id: agent.id, new_agent_nickname: nickname, status: 'pending_init' };
      this.#runtime(act, 'tool_call_runtime_ended', { ...ended, ...asked, ...made });
      return;
    }
    const agent = tree.byId(stringAt(run.args, 'target') ?? '');
    if (agent === undefined || !UUID.test(agent.id)) return;
    const receiver = { receiver_thread_id: agent.id };
    if (run.name === 'send_input') {
      this.#runtime(act, 'tool_call_runtime_started', { ...begun, ...receiver, prompt }, SEND_MESSAGE);
      this.#runtime(act, 'tool_call_runtime_ended', { ...ended, ...receiver, prompt, status: 'running' });
    } else if (run.kind.type === 'close_agent') {
      this.#runtime(act, 'tool_call_runtime_started', { ...begun, ...receiver });
      this.#runtime(act, 'tool_call_runtime_ended', { ...ended, ...receiver, status: 'shutdown' });
    }
  }

  #runtime(
    { threadId, run, atNs }: Act,
    type: 'tool_call_runtime_started' | 'tool_call_runtime_ended',
    told: JsonObject,
    kind = run.kind,
  ): void {
    const seen = {
      tool_call_id: run.callId,
      runtime_payload: this.#rollout.payload('tool_runtime_event', told),
    };
    const event: RawEventPayload =
      type === 'tool_call_runtime_started' ? { type, ...seen, kind } : { type, ...seen, status: 'completed' };
    this.#rollout.event(atNs, event, threadId, run.turnId, 'before');
  }

  #tellResult({ threadId, author, text, atNs }: Message, tree: AgentTree): void {
    const parent = tree.byId(threadId);
    const child = tree.atPath(author, atNs);
    const turn = child?.takeEndedTurn(atNs);
    if (parent === undefined || child === undefined || turn === undefined) return;
    const payload = text.replace(FINAL_ANSWER, '');
    const [, error] = ERROR_REPORT.exec(payload) ?? [];
    const status = error === undefined ? { completed: payload } : { errored: error };
    const told: RawEventPayload = {
      type: 'agent_result_observed',
      edge_id: `edge:agent_result:${child.id}:${turn.id}:${parent.id}`,
      child_thread_id: child.id,
      child_codex_turn_id: turn.id,
      parent_thread_id: parent.id,
      message: text,
      carried_payload: this.#rollout.payload('agent_result', {
        child_agent_path: child.agentPath,
        message: text,
        status,
      }),
    };
    this.#rollout.event(turn.endedNs, told, child.id, turn.id, 'after');
  }
}

const SEND_MESSAGE = { type: 'send_message' } as const;

function isAddressed({ kind }: ToolRun): boolean {
  return kind.type === 'send_message' || kind.type === 'assign_agent_task' || kind.type === 'close_agent';
}

/** The threads of a rollout by id and by path. A path may be used again once its agent is gone. */
class AgentTree {
  readonly #threads: readonly Thread[];
  readonly #spawned = new Set<Thread>();

  constructor(threads: readonly Thread[]) {
    this.#threads = threads.filter(({ agentPath, id }) => UUID.test(id) && AGENT_PATH.test(agentPath));
  }

  byId(id: string): Thread | undefined {
    return this.#threads.find((thread) => thread.id === id);
  }

  /** The thread that `parent` spawned at `path`, by a call that began at `sinceNs`. */
  spawned(parent: Thread, path: string, sinceNs: bigint): Thread | undefined {
    const found = this.#threads.find(
      (thread) =>
        thread.agentPath === path &&
        thread.ids.parentThreadId === parent.id &&
        thread.startedNs >= sinceNs &&
        !this.#spawned.has(thread),
    );
    if (found !== undefined) this.#spawned.add(found);
    return found;
  }

  /** The agent that `sender` calls `name`: a path, absolute or below its own, or an id. */
  named(sender: Thread, name: string): Thread | undefined {
    return (
      this.atPath(name) ??
      this.atPath(`${sender.agentPath}/${name}`) ??
      this.atPath(`/root/${name}`) ??
      this.byId(name)
    );
  }

  /** The last thread at `path` that had begun by `byNs`. */
  atPath(path: string, byNs?: bigint): Thread | undefined {
    return this.#threads.findLast(
      (thread) => thread.agentPath === path && (byNs === undefined || thread.startedNs <= byNs),
    );
  }
}

/** What the reference takes for the path of an agent. */
const AGENT_PATH = /^\/root(?:\/[a-z0-9_]+)*$/;
