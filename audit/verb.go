package audit

// OperationOf derives the operation from an action's verb. The verb is the
// first word of the action's last segment ("users.createToken" → "create"),
// after a qualifier such as batch or admin the word behind it
// ("BatchGetItem" → "get"), or else that segment's last word
// ("token_delete" → "delete"). Segments end at '.', '/' or ':'; words at '_',
// '-', ' ' and where an upper-case letter follows a lower-case one or a digit.
// A verb outside the table gives [Other]. It does not allocate.
//
// Verbs that set what may already be there (put, attach, upsert) count as
// updates, and those that hand over or use a credential (login, AssumeRole)
// as executions, so that the levels writes_only and mutations_only keep them.
func OperationOf(action string) Operation {
	seg := lastSegment(action)
	first, rest := cutWord(seg)
	op := verb(first)
	if op == qualifier {
		first, rest = cutWord(rest)
		op = verb(first)
	}
	if op == Other && rest != "" {
		op = verb(lastWord(rest))
	}
	if op == qualifier {
		return Other
	}
	return op
}

func lastSegment(action string) string {
	for i := len(action) - 1; i >= 0; i-- {
		if c := action[i]; c == '.' || c == '/' || c == ':' {
			return action[i+1:]
		}
	}
	return action
}

// cutWord gives the first word and what follows it, without separators between.
func cutWord(s string) (word, rest string) {
	for i := 1; i < len(s); i++ {
		if wordEnds(s[i-1], s[i]) {
			word, rest = s[:i], s[i:]
			for rest != "" && isSeparator(rest[0]) {
				rest = rest[1:]
			}
			return word, rest
		}
	}
	return s, ""
}

func lastWord(s string) string {
	for i := len(s) - 1; i > 0; i-- {
		if wordEnds(s[i-1], s[i]) {
			if isSeparator(s[i]) {
				i++
			}
			return s[i:]
		}
	}
	return s
}

func wordEnds(prev, c byte) bool {
	return isSeparator(c) || c >= 'A' && c <= 'Z' && (prev >= 'a' && prev <= 'z' || prev >= '0' && prev <= '9')
}

func isSeparator(c byte) bool { return c == '_' || c == '-' || c == ' ' }

// wordBuf holds a word in lower case; no verb is longer.
type wordBuf [16]byte

func (buf *wordBuf) lower(word string) []byte {
	if len(word) > len(buf) {
		return nil
	}
	for i := range len(word) {
		c := word[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(word)]
}

// qualifier is what verb gives for a word that only says how: its verb follows.
const qualifier Operation = ""

func verb(word string) Operation {
	var buf wordBuf
	switch string(buf.lower(word)) {
	case "batch", "bulk", "admin", "transact", "force", "async":
		return qualifier
	case "create", "created", "add", "added", "insert", "inserted", "new", "post", "posted", "upload",
		"uploaded", "register", "registered", "import", "imported", "provision", "allocate", "issue",
		"issued", "generate", "grant", "granted", "invite", "invited", "subscribe", "clone", "copy",
		"copied", "restore", "restored", "enroll", "signup", "install", "backup", "snapshot", "fork",
		"mint", "schedule":
		return Create
	case "read", "get", "list", "describe", "head", "view", "viewed", "show", "search", "query",
		"find", "fetch", "lookup", "download", "downloaded", "export", "exported", "count", "check",
		"scan", "select", "browse", "discover", "inspect", "preview", "decrypt", "validate", "verify",
		"test", "watch", "tail", "peek", "poll", "ping", "access", "accessed", "retrieve", "load",
		"estimate", "explain", "compare", "diff", "receive", "filter", "summarize", "analyze":
		return Read
	case "update", "updated", "modify", "modified", "edit", "edited", "set", "unset", "put", "patch",
		"patched", "change", "changed", "rename", "renamed", "move", "moved", "replace", "replaced",
		"enable", "enabled", "disable", "disabled", "rotate", "rotated", "reset", "assign", "assigned",
		"unassign", "associate", "disassociate", "attach", "attached", "detach", "detached", "link",
		"unlink", "tag", "untag", "lock", "locked", "unlock", "unlocked", "suspend", "suspended",
		"resume", "resumed", "activate", "activated", "deactivate", "deactivated", "configure",
		"promote", "demote", "approve", "approved", "reject", "rejected", "accept", "decline",
		"upsert", "authorize", "merge", "write", "save", "publish", "published", "unpublish",
		"archive", "archived", "transfer", "block", "unblock", "join", "leave", "mark", "append":
		return Update
	case "delete", "deleted", "deletecollection", "remove", "removed", "destroy", "destroyed", "drop",
		"dropped", "purge", "purged", "revoke", "revoked", "terminate", "terminated", "deregister",
		"unregister", "release", "erase", "erased", "truncate", "uninstall", "unsubscribe", "wipe",
		"clear", "flush", "evict", "expire", "expired":
		return Delete
	case "execute", "executed", "exec", "run", "invoke", "invoked", "call", "called", "start",
		"started", "stop", "stopped", "restart", "reboot", "send", "sent", "trigger", "login", "logon",
		"logout", "logoff", "signin", "signout", "authenticate", "assume", "impersonate", "connect",
		"disconnect", "deploy", "deployed", "rollback", "apply", "dispatch", "submit", "submitted",
		"cancel", "cancelled", "canceled", "abort", "retry", "sync", "encrypt", "sign", "launch",
		"open", "close", "begin", "end", "complete", "process", "proxy", "build", "initiate":
		return Execute
	}
	return Other
}
