// Walks a syntax tree without recursion, so that no depth of nesting overflows the stack.
import { type Node, visitorKeys } from "oxc-parser";

/** Called for every node on the way down and on the way up. */
export interface SyntaxVisitor {
  enter(node: Node, parent: Node | undefined): void;
  leave(node: Node, parent: Node | undefined): void;
}

/** Visits `root` and everything below it in the order of the source text. */
export function walkSyntax(root: Node, visitor: SyntaxVisitor): void {
  const stack: { node: Node; parent: Node | undefined; entered: boolean }[] = [
    { node: root, parent: undefined, entered: false },
  ];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    if (top.entered) {
      visitor.leave(top.node, top.parent);
      stack.pop();
      continue;
    }
    top.entered = true;
    visitor.enter(top.node, top.parent);
    // Pushed from last to first, because the last one pushed is visited first.
    const keys = visitorKeys[top.node.type] ?? [];
    for (let index = keys.length - 1; index >= 0; index -= 1) {
      const child: unknown = Reflect.get(top.node, keys[index] ?? "");
      if (isNode(child)) stack.push({ node: child, parent: top.node, entered: false });
      else if (Array.isArray(child)) {
        for (let place = child.length - 1; place >= 0; place -= 1) {
          const item: unknown = child[place];
          if (isNode(item)) stack.push({ node: item, parent: top.node, entered: false });
        }
      }
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value;
}
