// The evidence of agents. Of a capture that named or started them that is all of it. Of one that recorded the whole
// machine it is what agents and what they started did, from their start on; the rest belongs to nobody. The one
// place that decides on the root of an event, for whoever interprets evidence.

import type { EvidenceEvent } from '../evidence/event.js';
import { type ReadEvidenceOptions, readEvidence } from '../evidence/reader.js';
import { AgentFinder } from './agent-finder.js';
import { ProcessTree, type TreeProcess } from './process-tree.js';

export interface AgentEvidenceOptions extends ReadEvidenceOptions {
  /** Whether events that belong to no agent are told too, with root 0. */
  everybody?: boolean;
}

/**
 * The events of agents, oldest first, with their roots, and those of the capture itself.
 *
 * @param bundleDir the directory that holds `evidence/`
 * @throws AgsightError `no-evidence`
 */
export async function* readAgentEvidence(
  bundleDir: string,
  options: AgentEvidenceOptions = {},
): AsyncGenerator<EvidenceEvent, void, undefined> {
  let roots: Roots | undefined;
  for await (const event of readEvidence(bundleDir, options)) {
    if (event.kind === 'capture-start' && event.agentEndpoints !== undefined) {
      roots ??= new Roots(await findAgents(bundleDir, event.agentEndpoints));
    }
    if (roots !== undefined) event.rootPid = roots.push(event);
    if (roots === undefined || event.pid === 0 || event.rootPid !== 0 || options.everybody === true)
      yield event;
  }
}

async function findAgents(bundleDir: string, endpoints: readonly string[]): Promise<ReadonlySet<number>> {
  const finder = new AgentFinder(endpoints);
  // Damage is told by the reading that this one is for.
  for await (const event of readEvidence(bundleDir)) finder.push(event);
  return finder.finish();
}

/** The roots of processes: the first agent in the line of those that started them. */
class Roots {
  readonly #agents: ReadonlySet<number>;
  readonly #tree = new ProcessTree();
  readonly #roots = new WeakMap<TreeProcess, number>();

  constructor(agents: ReadonlySet<number>) {
    this.#agents = agents;
  }

  /** The pid of the root that the next event belongs to; 0 when there is none. */
  push(event: EvidenceEvent): number {
    const process = this.#tree.push(event);
    return process === undefined ? 0 : this.#rootOf(process);
  }

  #rootOf(process: TreeProcess): number {
    const known = this.#roots.get(process);
    if (known !== undefined) return known;
    const inherited = process.parent === undefined ? 0 : this.#rootOf(process.parent);
    const root = inherited === 0 && this.#agents.has(process.number) ? process.pid : inherited;
    this.#roots.set(process, root);
    return root;
  }
}
