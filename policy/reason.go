package policy

// Reason is the rule that decided first.
type Reason uint8

// The reasons, in the order in which the rules are tried.
const (
	Recorded Reason = iota
	ByDisabled
	ByLevel
	ByAction
	ByResource
	BySampling
	reasons
)

// NumReasons is the number of reasons.
const NumReasons = int(reasons)

var reasonNames = [NumReasons]string{"recorded", "disabled", "level", "excluded_action", "excluded_resource", "sampled"}

// String gives the reason's wire name: recorded, disabled, level, excluded_action, excluded_resource, sampled.
func (r Reason) String() string {
	if int(r) < NumReasons {
		return reasonNames[r]
	}
	return "unknown"
}
