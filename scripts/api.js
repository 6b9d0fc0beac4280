/**
 * `npm run api`: writes what each entry point of the package declares to etc/api, so that a review shows a change of the surface.
 * With `--check`: fails if etc/api is not what the declarations in `dist` say.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import ts from "typescript";
import { entryPoints, publicStatements } from "./public-statements.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const [folder = path.join(ROOT, "dist"), reports = path.join(ROOT, "etc/api")] = process.argv
  .slice(2)
  .filter((each) => !each.startsWith("--"));

const entries = await entryPoints(folder);
const { checker, statements, exported } = publicStatements(entries, folder);
const printer = ts.createPrinter({ removeComments: true });
const { file: front } = entries.find(({ name }) => name === "index");

/** A way in of its own comes before the front, which has most names again. */
const byRoom = [...entries.filter(({ file }) => file !== front), ...entries.filter(({ file }) => file === front)];
/** The entry that declares a symbol: the first that exports it. */
const owners = new Map();
for (const { name } of byRoom) {
  for (const symbol of exported.get(name)) {
    const one = original(symbol);
    if (!owners.has(one)) owners.set(one, name);
  }
}

const found = new Map();
for (const { name } of entries) found.set(`${name}.md`, await reportOf(name));
process.exit(process.argv.includes("--check") ? await check() : await write());

async function reportOf(name) {
  const symbols = [...exported.get(name)].sort((one, other) => compare(one.name, other.name));
  const shown = new Set();
  const own = [];
  const again = new Map();
  for (const symbol of symbols) {
    const one = original(symbol);
    const owner = owners.get(one);
    if (owner !== name) again.set(owner, [...(again.get(owner) ?? []), symbol.name]);
    else {
      if (one.name !== symbol.name) own.push(`export { ${one.name} as ${symbol.name} };`);
      for (const text of textsOf(one, shown)) own.push(text);
    }
  }
  const elsewhere = [...again]
    .sort()
    .map(([owner, names]) => `export { ${names.join(", ")} } from ${JSON.stringify(moduleName(owner))};`);
  const hidden = hiddenOf(name, shown);
  const parts = [
    `# ${moduleName(name)}`,
    "Written by `npm run api` from the declarations. Do not edit.",
    block([...elsewhere, ...own]),
  ];
  if (hidden.length > 0) parts.push("## Not exported", "Named by what is exported here or elsewhere.", block(hidden));
  const file = path.join(reports, `${name}.md`);
  return format(parts.join("\n\n"), { ...(await resolveConfig(file)), parser: "markdown" });
}

/** Declarations in the folder of an entry that are reachable and that no entry exports. */
function hiddenOf(name, shown) {
  const roots = entries.map((entry) => path.dirname(path.relative(folder, entry.file)));
  const list = [...statements].filter((statement) => {
    if (shown.has(statement) || ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) return false;
    const [room] = path.relative(folder, statement.getSourceFile().fileName).split(path.sep);
    const home = roots.includes(room) ? room : "index";
    return home === name && !symbolsOf(statement).some((symbol) => owners.has(symbol));
  });
  return list.map(print).sort(compare);
}

/** The texts of a symbol's declarations in this package. */
function textsOf(symbol, shown) {
  const texts = [];
  for (const declaration of symbol.declarations ?? []) {
    let statement = declaration;
    while (statement.parent && !ts.isSourceFile(statement.parent)) statement = statement.parent;
    if (!statements.has(statement) || shown.has(statement)) continue;
    shown.add(statement);
    texts.push(print(statement));
  }
  return texts;
}

function print(statement) {
  return printer
    .printNode(ts.EmitHint.Unspecified, statement, statement.getSourceFile())
    .replaceAll("export declare ", "export ");
}

function symbolsOf(statement) {
  const names = ts.isVariableStatement(statement)
    ? statement.declarationList.declarations.map(({ name }) => name)
    : [statement.name];
  return names.flatMap((name) => (name && checker.getSymbolAtLocation(name)) ?? []);
}

function original(symbol) {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
}

function moduleName(name) {
  return name === "index" ? "cryptoki" : `cryptoki/${name}`;
}

function block(lines) {
  return `\`\`\`ts\n${lines.join("\n")}\n\`\`\``;
}

function compare(one, other) {
  return one < other ? -1 : Number(one > other);
}

async function write() {
  await rm(reports, { recursive: true, force: true });
  await mkdir(reports, { recursive: true });
  for (const [name, text] of found) await writeFile(path.join(reports, name), text);
  return 0;
}

async function check() {
  const names = new Set([...found.keys(), ...(await readdir(reports).catch(() => []))]);
  const changed = [];
  for (const name of names) {
    const before = await readFile(path.join(reports, name), "utf8").catch(() => undefined);
    if (before !== found.get(name)) changed.push(name);
  }
  if (changed.length === 0) return 0;
  console.error(`The public declarations differ from etc/api: ${changed.sort().join(", ")}.`);
  console.error("If the change is wanted, run: npm run api, and commit etc/api.");
  return 1;
}
