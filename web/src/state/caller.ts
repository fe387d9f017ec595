// Who the reader of the page is, as the server sees it, and what that role may do: what it may not is not offered.
import { effect, signal } from "@preact/signals";
import type { CallerInfo } from "../gen/backprop/v1/server_service_pb.ts";
import { returns } from "../rpc/connection.ts";
import { isAborted, type Problem, problemOf } from "../rpc/problem.ts";
import { read } from "../rpc/read.ts";
import { serverService } from "../rpc/services.ts";
import { token } from "../rpc/token.ts";

/** What the server says of the reader. */
export type Caller =
  /** Not known yet. */
  | { readonly kind: "unknown" }
  /** Callers need no identity here: all may do everything. */
  | { readonly kind: "anyone" }
  /** The server wants a token, or another one than it got. */
  | { readonly kind: "stranger"; readonly problem: Problem }
  /** A person with a role. */
  | { readonly kind: "person"; readonly subject: string; readonly role: string; readonly methods: ReadonlySet<string> };

/** The reader. */
export const caller = signal<Caller>({ kind: "unknown" });

effect(() => {
  void returns.value;
  void token.value;
  const abort = new AbortController();
  read((options) => serverService.getServerInfo({}, options), abort.signal).then(
    (info) => {
      if (!abort.signal.aborted) caller.value = callerFrom(info.caller);
    },
    (error: unknown) => {
      if (abort.signal.aborted || isAborted(error)) return;
      const problem = problemOf(error);
      if (isLogin(problem)) caller.value = { kind: "stranger", problem };
    },
  );
  return () => abort.abort();
});

function callerFrom(info: CallerInfo | undefined): Caller {
  if (!info) return { kind: "anyone" };
  const methods = new Set(info.methods.map((path) => path.slice(path.lastIndexOf("/") + 1)));
  return { kind: "person", subject: info.subject, role: info.role, methods };
}

/** Whether a problem is that the server does not know the reader. */
export function isLogin(problem: Problem): boolean {
  return problem.reason.startsWith("TOKEN_") || problem.reason === "LOGIN_LIMIT";
}

/** Whether the reader may call a method, such as "TrainBatch", as far as is known. */
export function may(method: string): boolean {
  const { value } = caller;
  return value.kind !== "person" || value.methods.has(method);
}
