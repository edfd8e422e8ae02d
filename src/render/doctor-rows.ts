// What `agsight doctor` found, as rows for tables.

import { howFound } from '../elf/tls-verdict.js';
import type { HostCheck } from '../host/checks.js';
import type { ProgramExamination } from '../host/examine-program.js';

export const CHECK_HEAD = ['Check', 'Verdict', 'Found', 'Remedy'];
export const PROGRAM_HEAD = ['Program', 'Library', 'Captured', 'How, or why not', 'Remedy'];

export function checkRow({ name, verdict, is_needed, found, remedy }: HostCheck): string[] {
  const needed = verdict === 'no' && !is_needed ? 'no, not needed' : verdict;
  return [name, needed, found, remedy ?? ''];
}

/** A row for each TLS library, or one that says why there is none. */
export function programRows(program: ProgramExamination): string[][] {
  const { pid, native, version, tls, verdict, reason, remedy, remarks } = program;
  const name = [
    [...new Set([`${pid ?? ''}`, program.program])].join(' ').trim(),
    ...(native === null ? [] : [`starts ${native}`]),
    ...(version === null ? [] : [`Codex ${version}`]),
  ].join('\n');
  const rows = tls.map((library, index) => {
    const { file, version: its, is_captured, functions } = library;
    const where = file === program.program ? '' : `, ${file}`;
    return [
      index === 0 ? name : '',
      [library.library, its ?? ''].join(' ').trim() + where,
      is_captured ? 'yes' : 'no',
      is_captured ? `${functions.join(', ')} (${howFound(library)})` : (library.reason ?? ''),
      library.remedy ?? '',
    ];
  });
  if (rows.length === 0) rows.push([name, '', verdict, reason ?? '', remedy ?? '']);
  return [...rows, ...remarks.map((remark) => ['', '', '', remark, ''])];
}
