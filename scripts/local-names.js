/**
 * Shortens the names of local variables. A name at the top of a file stays: stack traces show the functions that have one, and Node prints an object
 * with the name of its class.
 */
import { transform } from "esbuild";
import ts from "typescript";

/**
 * @param {string} file
 * @param {string} text An ECMAScript module.
 * @param {string} target As esbuild takes it.
 */
export async function withShortLocals(file, text, target) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const [imports, exports, body] = [[], [], []];
  for (const statement of source.statements) {
    const list = ts.isImportDeclaration(statement) ? imports : ts.isExportDeclaration(statement) ? exports : body;
    list.push(...parts(source, statement));
  }
  // Of a script, esbuild leaves the top names alone: other scripts could use them.
  const { code } = await transform(body.join("\n"), { minifyIdentifiers: true, minifyWhitespace: true, target });
  return `${imports.join("")}${withClassExpressions(file, code)}${exports.join("")}`;
}

/**
 * A statement; of variables with classes that have a name of their own (`var A = class _A {}`), each by itself, after its class.
 * @param {ts.SourceFile} source
 * @param {ts.Statement} statement
 */
function parts(source, statement) {
  const variables = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [];
  if (!variables.some(({ initializer }) => isNamedClass(initializer))) return [statement.getFullText(source)];
  return variables.map(({ name, initializer }) => {
    const [variable, value] = [name.getText(source), initializer?.getText(source)];
    if (isNamedClass(initializer)) return `${value}\nvar ${variable}=${initializer.name.text};`;
    return value === undefined ? `var ${variable};` : `var ${variable}=${value};`;
  });
}

/** Gives each such class back to its variable. */
function withClassExpressions(file, code) {
  const source = ts.createSourceFile(file, code, ts.ScriptTarget.Latest);
  const texts = source.statements.map((statement) => statement.getFullText(source));
  for (const [index, statement] of source.statements.entries()) {
    if (!ts.isClassDeclaration(statement)) continue;
    const match = /^\s*var ([\w$]+)=([\w$]+);$/u.exec(texts[index + 1] ?? "");
    if (match?.[2] !== statement.name?.text) continue;
    texts[index] = `var ${match[1]}=${texts[index]};`;
    texts[index + 1] = "";
  }
  return texts.join("");
}

/** @param {ts.Expression | undefined} value */
function isNamedClass(value) {
  return value !== undefined && ts.isClassExpression(value) && value.name !== undefined;
}
