// Writes codemirror.js and LICENSES.txt to a folder:
//   node build.js FOLDER < MODULES
// MODULES are the Go modules in engine.wasm, each a line: its name, and the folder with its source.

import { readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';

import { build } from 'esbuild';

const folder = process.argv[2];

const { metafile } = await build({
  entryPoints: ['codemirror.js'],
  outfile: join(folder, 'codemirror.js'),
  bundle: true,
  format: 'esm',
  legalComments: 'none', // LICENSES.txt has them
  metafile: true,
  minify: true,
  target: 'es2022',
});

// The packages that something is bundled of.
const bundled = new Set(Object.keys(metafile.inputs)
  .map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
  .filter(Boolean));
const sources = [...bundled].sort().map((name) => [name, join('node_modules', name)]);
for (const line of (await text(process.stdin)).trim().split('\n')) {
  const space = line.indexOf(' ');
  sources.push([line.slice(0, space), line.slice(space + 1)]);
}

const parts = await Promise.all(sources.map(async ([name, source]) => `${name}\n\n${await license(source)}`));
const line = `\n${'-'.repeat(100)}\n\n`;
await writeFile(join(folder, 'LICENSES.txt'),
  `codemirror.js and engine.wasm have parts of these in them, under these licenses.\n${line}${parts.join(line)}`);

// license is the text in the folder of a package or a module. Without one, nothing is built.
async function license(source) {
  const files = (await readdir(source)).filter((name) => /^(licen[cs]e|copying|notice)/i.test(basename(name)));
  if (!files.length) {
    throw new Error(`${source} has no license`);
  }
  const texts = await Promise.all(files.sort().map((name) => readFile(join(source, name), 'utf8')));
  return `${texts.map((t) => t.trim()).join('\n\n')}\n`;
}
