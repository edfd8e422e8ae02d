// The measure as a document: one table per transport, and the reasons of what does not agree.

import type { Agreement } from './compare.js';
import { FAMILIES } from './facts.js';
import { reasonFor } from './known.js';
import type { Outcome } from './run.js';
import type { Transport } from './scenarios.js';

const SUM: Agreement = { agreed: 0, missing: 0, extra: 0, different: 0 };

const add = (a: Agreement, b: Agreement): Agreement => ({
  agreed: a.agreed + b.agreed,
  missing: a.missing + b.missing,
  extra: a.extra + b.extra,
  different: a.different + b.different,
});

function cell({ agreed, missing, extra, different }: Agreement): string {
  const rest = [missing && `−${missing}`, extra && `+${extra}`, different && `≠${different}`].filter(Boolean);
  if (agreed === 0 && rest.length === 0) return '';
  return [agreed, ...rest].join(' ');
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

export const isKilled = ({ scenario }: Pick<Outcome, 'scenario'>): boolean => /kill/.test(scenario);

/** @param command what made it, and makes it again */
export function report(
  outcomes: readonly Outcome[],
  { command, codexVersion }: { command: string; codexVersion: string },
): string {
  const lines = [
    '# Outside equals inside',
    '',
    `Codex ${codexVersion} ran each scenario with its own tracer on, under \`agsight capture\`. Both bundles were reduced with`,
    "Codex's own `codex debug trace-reduce`, and compared fact by fact: a number alone is the count of facts that agree in all",
    'that is said of them; `−` facts are known from inside only, `+` are told from outside only, `≠` are told in other words or',
    'in another order. *Same bytes* says whether the reference took the bundle of the capture and reduced it to the bytes that',
    '`agsight reduce` writes.',
    '',
    `Made by \`${command}\`; the scenarios are \`test/agreement/scenarios.ts\`, the facts \`test/agreement/facts.ts\`.`,
    '',
  ];
  for (const transport of new Set(outcomes.map((outcome) => outcome.transport))) {
    lines.push(
      ...section(
        transport,
        outcomes.filter((outcome) => outcome.transport === transport),
      ),
    );
  }
  lines.push('## What does not agree, and why', '');
  const reasons = new Map<string, Set<string>>();
  for (const outcome of outcomes) {
    for (const found of outcome.comparisons.flatMap(({ disagreements }) => disagreements)) {
      const reason =
        reasonFor(found, { killed: isKilled(outcome) }) ?? `unexplained: ${found.family}, ${found.how}`;
      const where = reasons.get(reason) ?? new Set();
      reasons.set(reason, where.add(outcome.scenario));
    }
  }
  for (const [reason, where] of reasons) lines.push(`- ${reason}: ${[...where].join(', ')}`);
  const unreadable = outcomes.filter((outcome) => outcome.unreadable > 0);
  if (unreadable.length > 0) {
    const names = [...new Set(unreadable.map(({ scenario }) => scenario))].join(', ');
    lines.push(
      `- one of Codex's own bundles is refused by its own reducer, and cannot be compared: ${names}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function section(transport: Transport, outcomes: readonly Outcome[]): string[] {
  const totals = FAMILIES.map(() => SUM);
  const rows = outcomes.map((outcome) => {
    const cells = FAMILIES.map((family, index) => {
      const sum = outcome.comparisons.map(({ families }) => families[family]).reduce(add, SUM);
      totals[index] = add(totals[index] ?? SUM, sum);
      return cell(sum);
    });
    return row([outcome.scenario, ...cells, outcome.refused.length === 0 ? 'yes' : 'no']);
  });
  const all = totals.reduce(add, SUM);
  const share = ((100 * all.agreed) / (all.agreed + all.missing + all.different)).toFixed(1);
  return [
    `## ${transport}`,
    '',
    row(['scenario', ...FAMILIES, 'same bytes']),
    row(['---', ...FAMILIES.map(() => '---:'), '---']),
    ...rows,
    row(['**all**', ...totals.map(cell), '']),
    '',
    `${all.agreed} of ${all.agreed + all.missing + all.different} facts agree (${share} %), ${all.extra} are told from outside only.`,
    '',
  ];
}
