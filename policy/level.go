package policy

import (
	"strings"

	"github.com/annals-dev/annals/audit"
)

// Level is the recording level.
type Level string

// The levels.
const (
	All           Level = "all"            // everything
	WritesOnly    Level = "writes_only"    // create, update, delete, execute, and an operation it does not know
	MutationsOnly Level = "mutations_only" // update and delete: changes to what already exists
	DeletesOnly   Level = "deletes_only"   // delete
	FailuresOnly  Level = "failures_only"  // outcome failure or denied, any operation
)

// Levels are all levels.
func Levels() []Level { return []Level{All, WritesOnly, MutationsOnly, DeletesOnly, FailuresOnly} }

// ParseLevel reads a level, in any case and with blanks around it; "" is
// writes_only. The error of an unknown one lists the levels.
func ParseLevel(s string) (Level, error) {
	name := Level(strings.ToLower(strings.TrimSpace(s)))
	if name == "" {
		return WritesOnly, nil
	}
	if _, ok := kept[name]; ok {
		return name, nil
	}
	var names []string
	for _, l := range Levels() {
		names = append(names, string(l))
	}
	return "", audit.Invalid("level", "is %s, want one of %s", quote(s), strings.Join(names, ", "))
}

// class is an operation as an index.
type class uint8

const (
	classOther class = iota // other, and every operation that is not in the table
	classCreate
	classRead
	classUpdate
	classDelete
	classExecute
	classes
)

func classOf(op audit.Operation) class {
	switch op {
	case audit.Create:
		return classCreate
	case audit.Read:
		return classRead
	case audit.Update:
		return classUpdate
	case audit.Delete:
		return classDelete
	case audit.Execute:
		return classExecute
	}
	return classOther
}

// kept says what each level keeps whatever the outcome.
var kept = map[Level][classes]bool{
	All:           {classOther: true, classCreate: true, classRead: true, classUpdate: true, classDelete: true, classExecute: true},
	WritesOnly:    {classOther: true, classCreate: true, classUpdate: true, classDelete: true, classExecute: true},
	MutationsOnly: {classUpdate: true, classDelete: true},
	DeletesOnly:   {classDelete: true},
	FailuresOnly:  {},
}
