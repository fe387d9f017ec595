// An error of a call as a reader of the page meets it: a sentence of what happened, one of what to do, and the server's own words.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";

/** An invalid field of a request. */
export interface InvalidField {
  readonly field: string;
  readonly description: string;
}

/** What went wrong, told. */
export interface Problem {
  /** The server's reason, such as "DIVERGED"; empty if the error is not the server's. */
  readonly reason: string;
  /** A sentence of what happened. */
  readonly title: string;
  /** A sentence of what to do; may be empty. */
  readonly advice: string;
  /** The server's message; may be empty. */
  readonly detail: string;
  /** The invalid fields of the request. */
  readonly fields: readonly InvalidField[];
  /** After this time a retry can succeed. */
  readonly retryAfterMs?: number;
}

type Told = readonly [title: string, advice: string];

/** The reasons that a reader of the page can meet; docs/errors.md has all. */
const TOLD: Readonly<Record<string, Told>> = {
  INVALID_REQUEST: ["The server cannot use these values.", "Change what is named below."],
  NOT_FOUND: ["The server has nothing of this name.", "It may have expired. Check the name, or create it again."],
  DELETED: ["The model was deleted, or its session expired.", "Create it again."],
  ALREADY_EXISTS: ["This name is taken.", "Choose another one."],
  TOKEN_MISSING: ["This server wants to know who you are.", "Sign in with the token that your course gave you."],
  TOKEN_INVALID: ["The server does not accept this token.", "Copy the whole token again, or ask for a new one."],
  TOKEN_EXPIRED: ["Your token has expired.", "Ask for a new one and sign in again."],
  TOKEN_REVOKED: ["Your token was revoked.", "Ask for a new one and sign in again."],
  LOGIN_LIMIT: ["Too many invalid tokens came from this address.", "Wait a moment, then try a valid one."],
  ROLE_NOT_ALLOWED: ["Your role may not do this.", "Ask the person who runs the course."],
  NOT_YOURS: ["This session is another person's, or does not exist.", "Check its name."],
  STEP_MISMATCH: ["Someone else trained this model in the meantime.", "Read it again, then decide."],
  STOPPED: ["The training was stopped.", "Its steps stay; resume continues after them."],
  DIVERGED: ["The training diverged: the next weights would not be finite.", "Take a smaller learning rate."],
  COMPARE_ONLY: [
    "This model is for grading only.",
    "The server compares your numbers with it, and shows none of its own.",
  ],
  REVEAL_LIMIT: ["This server does not reveal that much.", "Ask for less detail."],
  LISTING_DISABLED: ["This server does not list sessions.", "Type the name of yours."],
  QUOTA: ["This passes a limit of the server.", "Take less of what is named below."],
  MESSAGE_TOO_LARGE: ["This is more than the server reads in one call.", "Send fewer samples, or use a dataset."],
  REPLY_TOO_LARGE: ["The reply would be too large.", "Take a smaller batch or network."],
  WORKSPACE_TOO_LARGE: ["This pass needs more memory than the server allows.", "Take a smaller batch or network."],
  TOO_MUCH_TO_GRADE: ["Grading this would take too long.", "Take a smaller network or batch."],
  SLOW_READER: ["The connection is too slow for this stream.", "The training goes on; open it again."],
  QUEUE_FULL: ["The server is busy.", "It is tried again in a moment."],
  RUN_TIME: ["The run reached the server's time limit.", "Its steps stay; resume continues after them."],
  DISK_FULL: ["The server's disk is full, and the change was taken back.", "Tell the person who runs the server."],
  NOT_STORED: ["The server's disk failed, and the change was taken back.", "Try again."],
  NOT_READ: ["The server's disk failed.", "Try again."],
  MOVED: ["Another server of the cluster has changed this model.", "A repeat goes on from there."],
  STORE_UNREACHABLE: ["The server cannot reach its store.", "What was done is kept. Try again in a moment."],
  SHUTDOWN: ["The server is stopping.", "The page waits until it is back."],
  DEADLINE: ["This took too long.", "Take a smaller network or batch, or try again."],
  DATA_LOSS: ["The server cannot read this model from its disk.", "Tell the person who runs the server."],
  FOREIGN_ORIGIN: [
    "The server does not know this address of itself.",
    "Its setting `hosts` lists the names that it answers to.",
  ],
  INTERNAL: ["The server made a mistake.", "Tell the person who runs it the number below."],
};

const BY_CODE: Readonly<Partial<Record<Code, Told>>> = {
  [Code.Unavailable]: ["The server does not answer.", "The page waits, and continues when it is back."],
  [Code.DeadlineExceeded]: ["This took too long.", "Try again, or take a smaller network or batch."],
  [Code.Unauthenticated]: ["This server wants to know who you are.", "Sign in with your token."],
  [Code.PermissionDenied]: ["You may not do this.", ""],
  [Code.ResourceExhausted]: ["This is more than the server gives.", "Take less, or try later."],
};

/** Tells `error`. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof ConnectError)) return oddProblem(error);
  const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === "backpropd");
  const fields = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const reason = info?.reason ?? "";
  const [title, advice] = TOLD[reason] ?? BY_CODE[error.code] ?? ["The server refused.", ""];
  return {
    reason,
    title,
    advice,
    detail: error.rawMessage,
    fields: fields.map(({ field, description }) => ({ field, description })),
    ...(delay && { retryAfterMs: Number(delay.seconds) * 1000 + delay.nanos / 1e6 }),
  };
}

/** A problem of the page's own input, such as a link that cannot be read. */
export function inputProblem(title: string, detail = ""): Problem {
  return { reason: "", title, advice: "", detail, fields: [] };
}

function oddProblem(error: unknown): Problem {
  const detail = error instanceof Error ? error.message : String(error);
  return { reason: "", title: "The page made a mistake.", advice: "Load it again.", detail, fields: [] };
}

/** Whether `error` only says that the page itself ended the call. */
export function isAborted(error: unknown): boolean {
  if (error instanceof ConnectError) return error.code === Code.Canceled;
  return error instanceof DOMException && error.name === "AbortError";
}
