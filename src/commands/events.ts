// `agsight events BUNDLE`: options and output; the rows are governance/event-rows.ts.

import { Command, Option } from '../commander.js';
import type { RecordedSource } from '../evidence/event.js';
import type { Cell, Column, Row, TableName } from '../governance/columns.js';
import type { EventRowsOptions } from '../governance/event-rows.js';
import { tellIncomplete } from './incomplete.js';

const formats = ['table', 'json', 'ndjson', 'csv'] as const;
const tableChoices = ['file_agg', 'file_mgmt', 'proc_perm', 'proc_ops'] as const;

interface Options {
  table?: TableName;
  format?: (typeof formats)[number];
  by?: 'tool-call';
  everybody?: boolean;
  ddl?: boolean;
  json?: boolean;
}

export function eventsCommand(): Command {
  return new Command('events')
    .description('list what a captured agent did to files, permissions and processes')
    .usage('[options] <bundle> (--table <name> | --by tool-call)')
    .argument('[bundle]', 'directory that agsight capture wrote')
    .addOption(new Option('--table <name>', 'the table to print').choices(tableChoices))
    .addOption(new Option('--format <format>', 'how to print it (default: table)').choices(formats))
    .addOption(
      new Option('--by <what>', 'what each tool call caused, over all tables').choices(['tool-call']),
    )
    .option('--everybody', 'of a capture of all processes: those too that belong to no agent')
    .option('--ddl', 'print the CREATE TABLE statements for ClickHouse, of one table or all')
    .addHelpText(
      'after',
      '\nTimes are microseconds since the epoch. errno 0 means that it succeeded. Exit codes: 0 complete, 3 events were lost.',
    )
    .action(async (bundle: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      if (options.ddl === true) {
        const { ddl, tableNames } = await import('../governance/columns.js');
        const names = options.table === undefined ? tableNames : [options.table];
        console.log(names.map(ddl).join('\n\n'));
        return;
      }
      const wrong = misuse(options);
      if (bundle === undefined) command.error("error: missing required argument 'bundle'");
      else if (wrong !== undefined) command.error(`error: ${wrong}`);
      else if (options.table !== undefined) await printTable(bundle, options.table, options);
      else await printToolCalls(bundle, options);
    });
}

/** What is wrong about options that do not go together. */
function misuse({ table, by, format, json }: Options): string | undefined {
  if (table === undefined && by === undefined) {
    return `one of --table NAME (${tableChoices.join(', ')}) and --by tool-call is needed`;
  }
  if (table !== undefined && by !== undefined) return 'not both --table and --by: --by is over all tables';
  if (by !== undefined && format === 'csv') return '--by tool-call has no rows for --format csv';
  if (json === true && (format === 'csv' || format === 'table'))
    return `not both --json and --format ${format}`;
  return undefined;
}

/** That nothing is listed does not mean that nothing was done. */
async function tellUnrecorded(recorded: readonly RecordedSource[]): Promise<void> {
  // Where the list is empty, it is not known.
  if (recorded.length === 0 || recorded.includes('files')) return;
  const { note } = await import('../render/notes.js');
  note('agsight: what was done to files, permissions and the network was not recorded in this capture');
}

async function printTable(bundle: string, table: TableName, options: Options): Promise<void> {
  const { tables } = await import('../governance/columns.js');
  const { eventRows } = await import('../governance/event-rows.js');
  const { loadRuns, ToolCalls } = await import('../governance/tool-calls.js');
  const columns: readonly Column[] = tables[table];
  const output = await rowWriter(columns, options.format ?? (options.json === true ? 'json' : 'table'));
  const everybody = options.everybody === true;
  let isSound = true;
  let recorded: readonly RecordedSource[] = [];
  const calls = new ToolCalls(await loadRuns(bundle));
  const wanted: EventRowsOptions = {
    calls,
    tables: [table],
    everybody,
    onIncomplete() {
      isSound = false;
    },
    onStart(event) {
      recorded = event.recorded;
    },
  };
  for await (const { row } of eventRows(bundle, wanted)) {
    const written = output.add(row);
    if (written !== undefined) await written;
  }
  await output.end();
  await flush();
  if (table !== 'proc_ops') await tellUnrecorded(recorded);
  if (!isSound) await tellIncomplete(bundle);
}

async function printToolCalls(bundle: string, options: Options): Promise<void> {
  const { describeToolCalls } = await import('../governance/effect-lines.js');
  const { toolCallEffects } = await import('../governance/tool-call-effects.js');
  const { calls, recorded, isSound } = await toolCallEffects(bundle);
  const format = options.format ?? (options.json === true ? 'json' : 'table');
  if (format === 'json') console.log(JSON.stringify(calls, null, 2));
  else if (format === 'ndjson') for (const call of calls) console.log(JSON.stringify(call));
  else console.log(calls.length === 0 ? 'none' : describeToolCalls(calls));
  await tellUnrecorded(recorded);
  if (!isSound) await tellIncomplete(bundle);
}

interface RowWriter {
  /** A promise only when the reader of the output has to be waited for. */
  add(row: Row): Promise<void> | undefined;
  end(): Promise<void>;
}

const batchCharacters = 1 << 16;
let batch = '';

/** Row by row, writing would take longer than making the rows. */
function write(text: string): Promise<void> | undefined {
  batch += text;
  return batch.length < batchCharacters ? undefined : flush();
}

function flush(): Promise<void> | undefined {
  const text = batch;
  batch = '';
  if (process.stdout.write(text)) return undefined;
  return new Promise((resolve) => process.stdout.once('drain', () => resolve()));
}

/** All but the table are written row by row. */
async function rowWriter(columns: readonly Column[], format: (typeof formats)[number]): Promise<RowWriter> {
  switch (format) {
    case 'ndjson':
      return { add: (row) => write(`${JSON.stringify(row)}\n`), end: async () => {} };
    case 'json': {
      let separator = '[\n';
      return {
        add(row) {
          const begin = separator;
          separator = ',\n';
          return write(`${begin}${JSON.stringify(row)}`);
        },
        async end() {
          await write(separator === '[\n' ? '[]\n' : '\n]\n');
        },
      };
    }
    case 'csv':
      await write(`${columns.map(({ name }) => name).join(',')}\n`);
      return {
        add: (row) => write(`${columns.map(({ name }) => csvCell(row[name] ?? null)).join(',')}\n`),
        end: async () => {},
      };
    case 'table':
      return tableWriter(columns);
  }
}

/** RFC 4180; arrays as JSON. */
function csvCell(cell: Cell): string {
  const text = cell === null ? '' : typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const maxTableRows = 1000;
const cellWidth = 80;
/** Of no use to the eye, or told by another column. */
const hidden = new Set([
  'start_time',
  'end_time',
  'root_pid',
  'syscall_thread',
  'argv',
  'path_inferred',
  'codex_thread_id',
  'event_count',
  'file_type',
  'duration',
  'new_ids',
]);

/** For people: a path is one cell, the result stands in front, empty columns are left out. */
async function tableWriter(columns: readonly Column[]): Promise<RowWriter> {
  const { renderTable } = await import('../render/table.js');
  const { singleLine } = await import('../render/terminal.js');
  const names = [
    ...new Set(
      ['time', 'event_type', 'errno', ...columns.map(({ name }) => name)].map((name) =>
        name.replace(/^file_(?:dir|name)$/, 'path').replace(/^target_(?:dir|name)$/, 'target'),
      ),
    ),
  ].filter((name) => !hidden.has(name));
  const rows: Row[] = [];
  let left = 0;
  const text = (name: string, row: Row): string => {
    const cell = row[name];
    if (name === 'path') return singleLine(`${row.file_dir}${row.file_name}`, cellWidth);
    if (name === 'target') return singleLine(`${row.target_dir ?? ''}${row.target_name ?? ''}`, cellWidth);
    if (cell === null || cell === undefined) return '';
    if (name === 'time') return new Date(Number(cell) / 1000).toISOString().slice(11, 23);
    if (/_mode$|_permission$/.test(name)) return Number(cell).toString(8).padStart(4, '0');
    return singleLine(String(cell), cellWidth);
  };
  return {
    add(row) {
      if (rows.length < maxTableRows) rows.push(row);
      else left++;
      return undefined;
    },
    async end() {
      if (rows.length === 0) {
        await write('none\n');
        return;
      }
      rows.sort((a, b) => Number(a.time) - Number(b.time));
      const lines = rows.map((row) => names.map((name) => text(name, row)));
      const isFilled = names.map((_, column) => lines.some((line) => line[column] !== ''));
      const filled = (line: readonly string[]) => line.filter((_, column) => isFilled[column]);
      await write(`${renderTable(filled(names), lines.map(filled))}\n`);
      if (left > 0) await write(`… and ${left} more (--format ndjson has all)\n`);
    },
  };
}
