/**
 * Tells bundlers that a constant of the library may go where it is not used. Every module is free of side effects (package.json says so), but a
 * bundler cannot see that of a table that is computed, and of several modules in one chunk it looks at each constant by itself.
 */
import ts from "typescript";

/**
 * @param {string} file
 * @param {string} text The bundle. esbuild would take the marks away again if it got them.
 */
export function withPureConstants(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const values = source.statements.flatMap((statement) =>
    ts.isVariableStatement(statement) ? statement.declarationList.declarations : [],
  );
  const parts = [];
  let written = 0;
  for (const { name, initializer } of values) {
    if (!initializer || !isComputed(initializer)) continue;
    const start = initializer.getStart(source);
    const value = text.slice(start, initializer.end);
    // A class is called like the variable that it is first given to.
    const variable = name.getText(source);
    const body = ts.isClassExpression(initializer) ? `{var ${variable}=${value};return ${variable}}` : `(${value})`;
    parts.push(text.slice(written, start), `/* @__PURE__ */(()=>${body})()`);
    written = initializer.end;
  }
  return parts.join("") + text.slice(written);
}

/**
 * Whether a bundler cannot know that `node` has no effects.
 * @param {ts.Node} node
 * @returns {boolean}
 */
function isComputed(node) {
  if (ts.isFunctionLike(node)) return false;
  if (ts.isPropertyDeclaration(node) && !node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword)) {
    return false;
  }
  return (
    ts.isCallExpression(node) ||
    ts.isNewExpression(node) ||
    ts.isPropertyAccessExpression(node) ||
    ts.isElementAccessExpression(node) ||
    ts.isSpreadElement(node) ||
    ts.isSpreadAssignment(node) ||
    ts.isTemplateExpression(node) ||
    ts.isClassStaticBlockDeclaration(node) ||
    (ts.forEachChild(node, isComputed) ?? false)
  );
}
