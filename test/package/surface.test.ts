import path from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, jest, test } from "@jest/globals";
import ts from "typescript";

/**
 * What a profile or a dialect of another package is written with: every type in the signatures of these entry points has to be exported
 * by one of them, so that it can be named.
 */
const ENTRIES = ["card", "testing", "apdu", "pcsc"] as const;
const SOURCE = fileURLToPath(new URL("../../src", import.meta.url));

jest.setTimeout(120_000);

let checker: ts.TypeChecker;
const exported = new Map<string, ReadonlySet<ts.Symbol>>();

beforeAll(() => {
  const names = [...ENTRIES, "pkcs15"].map((name) => path.join(SOURCE, name, "index.ts"));
  const program = ts.createProgram(names, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    types: ["node"],
  });
  checker = program.getTypeChecker();
  for (const name of names) {
    const file = program.getSourceFile(name);
    const symbol = file && checker.getSymbolAtLocation(file);
    if (!symbol) throw new Error(`${name} exports nothing`);
    exported.set(path.basename(path.dirname(name)), new Set(checker.getExportsOfModule(symbol).map(original)));
  }
});

function original(symbol: ts.Symbol): ts.Symbol {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
}

const isOwn = (node: ts.Node): boolean => node.getSourceFile().fileName.startsWith(SOURCE);

/** Parts of a declaration that no user of it can see. */
function isHidden(node: ts.Node): boolean {
  if (ts.isBlock(node) || (ts.isPropertyDeclaration(node) && ts.isPrivateIdentifier(node.name))) return true;
  const isPrivate =
    ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword);
  if (isPrivate === true) return true;
  return (ts.isMethodDeclaration(node) || ts.isAccessor(node)) && ts.isPrivateIdentifier(node.name);
}

/** The types that a declaration names, without its bodies and initial values. */
function namedTypes(node: ts.Node): ts.Symbol[] {
  const found: ts.Symbol[] = [];
  const walk = (child: ts.Node): void => {
    if (isHidden(child)) return;
    const name = ts.isTypeReferenceNode(child)
      ? child.typeName
      : ts.isExpressionWithTypeArguments(child)
        ? child.expression
        : undefined;
    const symbol = name && checker.getSymbolAtLocation(name);
    if (symbol) found.push(original(symbol));
    if (ts.isVariableDeclaration(child) || ts.isParameter(child) || ts.isPropertyDeclaration(child)) {
      if (child.type) walk(child.type);
    } else ts.forEachChild(child, walk);
  };
  walk(node);
  return found;
}

function missing(entry: string): string[] {
  const known = new Set([...exported.values()].flatMap((symbols) => [...symbols]));
  const lacking = new Set<string>();
  for (const symbol of exported.get(entry) ?? []) {
    for (const declaration of symbol.declarations ?? []) {
      for (const type of namedTypes(declaration)) {
        const isParameter = (type.flags & ts.SymbolFlags.TypeParameter) !== 0;
        if (isParameter || known.has(type) || !type.declarations?.every(isOwn)) continue;
        lacking.add(`${type.name}, in ${symbol.name}`);
      }
    }
  }
  return [...lacking].sort();
}

test.each([...ENTRIES, "pkcs15"])(
  "every type in the signatures of cryptoki/%s has a name in a public entry point",
  (entry) => {
    expect(missing(entry)).toEqual([]);
  },
);
