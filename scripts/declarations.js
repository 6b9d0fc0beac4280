/**
 * Makes the package's declarations, which tsc wrote to `dist`, fit for users without `@types/node`, without the DOM library and without
 * `skipLibCheck`:
 *
 * - Only what a user can reach from an entry point stays; so no declaration of another package is needed for the rest.
 * - Types of the platform (AbortSignal, streams, KeyObject) come from scripts/platform-types.d.ts.
 * - `Symbol.asyncDispose` and its like: a reference to the library that has them.
 *
 * Takes the folder of the declarations, by default `dist`.
 */
import { mkdir, readdir, rm, writeFile, copyFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { entryPoints, publicStatements } from "./public-statements.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const [folder = path.join(ROOT, "dist")] = process.argv.slice(2);
const PLATFORM = "platform-types";
/** What platform-types.d.ts has in place of Node's and the DOM's declarations. */
const PLATFORM_TYPES = new Set([
  "AbortSignal",
  "Buffer",
  "Crypto",
  "DOMException",
  "Duplex",
  "Extension",
  "KeyObject",
  "ReadableStream",
  "URL",
  "WritableStream",
]);
/** Of these, the ones that it declares as globals. */
const GLOBAL_TYPES = new Set(["ReadableStream", "WritableStream"]);
/** The modules whose types are taken from there. The declarations of @peculiar/x509 need the DOM library. */
const REPLACED = /^node:|^@peculiar\/x509$/u;
const DISPOSABLE = '/// <reference lib="esnext.disposable" />\n';

const entries = await entryPoints(folder);
const { program, checker, statements } = publicStatements(entries, folder);
const problems = [];

const kept = new Map();
for (const file of program.getSourceFiles()) {
  if (file.fileName.startsWith(folder + path.sep)) kept.set(file.fileName, textOf(file));
}
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
for (const name of await readdir(folder, { recursive: true })) {
  const file = path.join(folder, name);
  if (name.endsWith(".d.ts") && !kept.get(file)) await rm(file);
}
for (const [file, text] of kept) {
  await mkdir(path.dirname(file), { recursive: true });
  if (text) await writeFile(file, text);
}
await copyFile(path.join(ROOT, "scripts", `${PLATFORM}.d.ts`), path.join(folder, `${PLATFORM}.d.ts`));

/** @param {ts.SourceFile} file */
function textOf(file) {
  const isEntry = entries.some((entry) => entry.file === file.fileName);
  const own = file.statements.filter((statement) => statements.has(statement));
  const platform = new Set();
  /** @type {{ start: number, end: number, text: string }[]} */
  const edits = [];
  for (const statement of own) collectPlatform(statement, platform, edits);
  const used = namesIn([
    ...own,
    ...file.statements.filter((statement) => ts.isExportDeclaration(statement) && !statement.moduleSpecifier),
  ]);
  const parts = file.statements.map((statement) => partOf(file, statement, own, used, edits));
  const body = parts.join("").trim();
  if (body === "") return "";
  const isModule = file.statements.some(
    (statement) => ts.isExportDeclaration(statement) || ts.isExportAssignment(statement) || own.includes(statement),
  );
  if (!isModule) return "";
  let from = path
    .relative(path.dirname(file.fileName), path.join(folder, `${PLATFORM}.ts`))
    .split(path.sep)
    .join("/");
  if (!from.startsWith(".")) from = `./${from}`;
  const names = [...platform].filter((name) => !GLOBAL_TYPES.has(name)).sort();
  const imports = platform.size === 0 ? "" : `import type { ${names.join(", ")} } from "${from}";\n`;
  const needsDisposable = isEntry || /\b(?:Async)?Disposable\b|Symbol\.(?:asyncD|d)ispose/u.test(body);
  return `${needsDisposable ? DISPOSABLE : ""}${imports}${body}\n`;
}

/** The text of a statement as it stays, empty if nothing of it does. */
function partOf(file, statement, own, used, edits) {
  if (own.includes(statement)) return edited(file, statement, edits);
  if (ts.isImportDeclaration(statement)) return importOf(file, statement, used);
  if (ts.isExportDeclaration(statement)) return exportOf(file, statement);
  return "";
}

function edited(file, statement, edits) {
  const start = statement.getFullStart();
  let text = file.text.slice(start, statement.end);
  const inside = edits
    .filter((edit) => edit.start >= start && edit.end <= statement.end)
    .sort((a, b) => b.start - a.start);
  for (const edit of inside) text = text.slice(0, edit.start - start) + edit.text + text.slice(edit.end - start);
  return text;
}

/** Imports of names that are still used, except of what the platform's types replace. */
function importOf(file, statement, used) {
  const from = statement.moduleSpecifier.text;
  const clause = statement.importClause;
  const bindings = clause?.namedBindings;
  if (!bindings || ts.isNamespaceImport(bindings)) {
    const name = bindings?.name.text ?? clause?.name?.text;
    return name !== undefined && used.has(name)
      ? file.text.slice(statement.getStart(), statement.end).replace(/^/u, "\n")
      : "";
  }
  const names = bindings.elements.filter(
    (element) => used.has(element.name.text) && !(REPLACED.test(from) && PLATFORM_TYPES.has(element.name.text)),
  );
  if (names.length === 0) return "";
  return `\nimport type { ${names.map((element) => element.getText().replace(/^type /u, "")).join(", ")} } from ${statement.moduleSpecifier.getText()};`;
}

/** Exports from other files of names that lead to something public. */
function exportOf(file, statement) {
  const comment = file.text.slice(statement.getFullStart(), statement.getStart());
  if (!statement.exportClause) {
    const target = statement.moduleSpecifier && checker.getSymbolAtLocation(statement.moduleSpecifier);
    const any = target && checker.getExportsOfModule(target).some((symbol) => isPublic(symbol));
    return any ? comment + statement.getText() : "";
  }
  if (ts.isNamespaceExport(statement.exportClause)) return comment + statement.getText();
  const { elements } = statement.exportClause;
  if (elements.length === 0) return comment + statement.getText();
  const names = elements.filter((element) => isPublic(checker.getSymbolAtLocation(element.name)));
  if (names.length === 0) return "";
  const type = statement.isTypeOnly ? "type " : "";
  const from = statement.moduleSpecifier ? ` from ${statement.moduleSpecifier.getText()}` : "";
  return `${comment}export ${type}{ ${names.map((element) => element.getText()).join(", ")} }${from};`;
}

function isPublic(symbol) {
  if (!symbol) return false;
  const original = (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
  return (original.declarations ?? []).some((declaration) => statements.has(statementOf(declaration)));
}

function statementOf(node) {
  let statement = node;
  while (statement.parent && !ts.isSourceFile(statement.parent)) statement = statement.parent;
  return statement;
}

/** All identifiers in statements. */
function namesIn(list) {
  const names = new Set();
  const walk = (node) => {
    if (ts.isIdentifier(node)) names.add(node.text);
    ts.forEachChild(node, walk);
  };
  list.forEach(walk);
  return names;
}

/** The types of Node's and the DOM's that a statement names. */
function collectPlatform(statement, platform, edits) {
  const walk = (node) => {
    if (ts.isTypeQueryNode(node) && node.exprName.getText() === "globalThis.crypto") {
      platform.add("Crypto as PlatformCrypto");
      edits.push({ start: node.getStart(), end: node.end, text: "PlatformCrypto" });
      return;
    }
    const name = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : undefined;
    if (name) {
      const text = name.getText();
      const where = originOf(name);
      if (where === "platform" && PLATFORM_TYPES.has(text)) platform.add(text);
      else if (where === "platform")
        problems.push(
          `${statement.getSourceFile().fileName}: ${text} is a type of the platform; declare it in scripts/${PLATFORM}.d.ts`,
        );
    }
    ts.forEachChild(node, walk);
  };
  walk(statement);
}

/** Where a name is declared: by the platform, and not by the language or a package. */
function originOf(name) {
  let symbol = checker.getSymbolAtLocation(name);
  if (symbol && (symbol.flags & ts.SymbolFlags.Alias) !== 0) symbol = checker.getAliasedSymbol(symbol);
  const files = (symbol?.declarations ?? []).map((declaration) => declaration.getSourceFile().fileName);
  if (files.some((file) => /\/lib\.es[^/]*\.d\.ts$/u.test(file))) return "language";
  return files.some((file) => /\/@types\/node\/|\/@peculiar\/x509\/|\/undici-types\/|\/lib\.dom[^/]*$/u.test(file))
    ? "platform"
    : "package";
}
