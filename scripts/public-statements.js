/** The public part of a folder of declarations: what a user of the package's entry points can reach. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/**
 * The entry points that package.json exports, with the files of their declarations.
 * @param {string} folder Of the declarations.
 */
export async function entryPoints(folder) {
  const { exports } = JSON.parse(await readFile(fileURLToPath(new URL("../package.json", import.meta.url)), "utf8"));
  return Object.entries(exports).flatMap(([name, { types }]) =>
    types === undefined
      ? []
      : [{ name: name.slice(2) || "index", file: path.join(folder, types.replace("./dist/", "")) }],
  );
}

/**
 * The top-level statements that declare what the entry points export, and what those declarations name.
 * @param {{ file: string }[]} entries
 * @param {string} folder Of the declarations.
 */
export function publicStatements(entries, folder) {
  const program = ts.createProgram(
    entries.map(({ file }) => file),
    {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
      types: ["node"],
      typeRoots: [fileURLToPath(new URL("../node_modules/@types", import.meta.url))],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
    },
  );
  const checker = program.getTypeChecker();
  const statements = new Set();
  const original = (symbol) =>
    (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
  const isOwn = (node) => node.getSourceFile().fileName.startsWith(folder + path.sep);

  const add = (symbol) => {
    for (const declaration of original(symbol).declarations ?? []) {
      if (!isOwn(declaration) || ts.isSourceFile(declaration)) continue;
      let statement = declaration;
      while (!ts.isSourceFile(statement.parent)) statement = statement.parent;
      if (statements.has(statement)) continue;
      statements.add(statement);
      walk(statement);
    }
  };
  const walk = (node) => {
    if (ts.isIdentifier(node)) {
      const symbol = checker.getSymbolAtLocation(node);
      if (symbol) add(symbol);
    }
    if (ts.isImportTypeNode(node)) {
      const target = checker.getSymbolAtLocation(node.qualifier ?? node.argument.literal);
      if (target) add(target);
    }
    ts.forEachChild(node, walk);
  };

  const exported = new Map();
  for (const { name, file } of entries) {
    const source = program.getSourceFile(file);
    const symbol = source && checker.getSymbolAtLocation(source);
    if (!symbol) throw new Error(`${file} exports nothing; run: npm run build`);
    const symbols = checker.getExportsOfModule(symbol);
    exported.set(name, symbols);
    symbols.forEach(add);
  }
  return { program, checker, statements, exported };
}
