// Compares the facts of two recordings of the same run and counts them.

import { isDeepStrictEqual } from 'node:util';
import { FAMILIES, type Facts, type Family } from './facts.js';

export interface Agreement {
  agreed: number;
  /** Known from inside only. */
  missing: number;
  /** Told from outside only. */
  extra: number;
  /** Told by both, in other words or in another order. */
  different: number;
}

export interface Disagreement {
  family: Family;
  name: string;
  how: Exclude<keyof Agreement, 'agreed'>;
  inside?: unknown;
  outside?: unknown;
}

export interface Comparison {
  families: Record<Family, Agreement>;
  disagreements: Disagreement[];
}

/** The facts of several recordings of one thread, one after the other: what is first said of a thing counts. */
export function mergeFacts(recordings: readonly Facts[]): Facts {
  const merged = (family: Family) => new Map(recordings.toReversed().flatMap((facts) => [...facts[family]]));
  const inOrder = (family: Family) => {
    const names = new Set(recordings.flatMap((facts) => [...facts[family].keys()]));
    const all = merged(family);
    return new Map([...names].map((name) => [name, all.get(name)]));
  };
  return Object.fromEntries(FAMILIES.map((family) => [family, inOrder(family)])) as Facts;
}

/** @param inside what Codex's own tracer recorded @param outside what was seen of the same run */
export function compareFacts(inside: Facts, outside: Facts): Comparison {
  const disagreements: Disagreement[] = [];
  const families = Object.fromEntries(
    FAMILIES.map((family) => {
      const found = compareFamily(family, inside[family], outside[family]);
      disagreements.push(...found);
      const count = (how: Disagreement['how']) => found.filter((one) => one.how === how).length;
      const [missing, extra, different] = [count('missing'), count('extra'), count('different')];
      return [family, { agreed: inside[family].size - missing - different, missing, extra, different }];
    }),
  );
  return { families: families as Record<Family, Agreement>, disagreements };
}

function compareFamily(
  family: Family,
  inside: ReadonlyMap<string, unknown>,
  outside: ReadonlyMap<string, unknown>,
): Disagreement[] {
  const found: Disagreement[] = [];
  const misplaced = ORDERED.has(family) ? outOfOrder(inside, outside) : new Set();
  for (const [name, fact] of inside) {
    if (!outside.has(name)) {
      found.push({ family, name, how: 'missing', inside: fact });
      continue;
    }
    const told = outside.get(name);
    if (!isDeepStrictEqual(fact, told))
      found.push({ family, name, how: 'different', inside: fact, outside: told });
    else if (misplaced.has(name)) {
      found.push({ family, name, how: 'different', inside: 'in another order', outside: 'in another order' });
    }
  }
  for (const [name, fact] of outside) {
    if (!inside.has(name)) found.push({ family, name, how: 'extra', outside: fact });
  }
  return found;
}

/** Things of one thread come in the same order; those of several, processes, and the calls of a cell are concurrent. */
const ORDERED = new Set<Family>(['turns', 'items', 'inferences', 'tools']);

function outOfOrder(
  inside: ReadonlyMap<string, unknown>,
  outside: ReadonlyMap<string, unknown>,
): Set<string> {
  const threadOf = (name: string): string => {
    const { thread_id, requester } = Object(inside.get(name));
    return requester?.type === 'code_cell' ? name : (thread_id ?? 'unknown');
  };
  const shared = (of: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>, thread: string) =>
    [...of.keys()].filter((name) => other.has(name) && threadOf(name) === thread);
  const misplaced = new Set<string>();
  for (const thread of new Set([...inside.keys()].map(threadOf))) {
    const told = shared(outside, inside, thread);
    for (const [index, name] of shared(inside, outside, thread).entries()) {
      if (told[index] !== name) misplaced.add(name);
    }
  }
  return misplaced;
}
