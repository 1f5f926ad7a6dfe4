package cloudtrail

import (
	"strings"

	"github.com/annals-dev/annals/audit"
)

// actorTypes are our words for CloudTrail's types of userIdentity. Its own word
// stays in metadata.identity_type.
var actorTypes = map[text]string{
	"Root":               "root",
	"IAMUser":            "user",
	"IdentityCenterUser": "user",
	"FederatedUser":      "user",
	"SAMLUser":           "user",
	"WebIdentityUser":    "user",
	"Directory":          "user",
	"AssumedRole":        "role",
	"Role":               "role",
	"AWSService":         "service",
	"AWSAccount":         "account",
}

func (rec *record) actor() audit.Actor {
	id := &rec.Identity
	a := audit.Actor{
		Type: actorTypes[id.Type], ID: string(first(id.ARN, id.PrincipalID, id.UserName, id.InvokedBy, id.Account)),
		Name: string(first(id.UserName, id.Session.Issuer.UserName, id.InvokedBy)), IP: string(rec.SourceIP), UserAgent: string(rec.UserAgent),
	}
	if a.Type == "" {
		a.Type = "unknown"
		if id.Type == "" && id.InvokedBy != "" {
			a.Type = "service" // events of AWS's own services name the service and no type
		}
	}
	if a.Type == "role" {
		a.OnBehalfOf = string(id.Session.Issuer.ARN)
	}
	if strings.HasPrefix(string(id.AccessKey), "ASIA") {
		// Temporary credentials: their key is one session of the actor.
		a.SessionID = string(id.AccessKey)
	}
	return a
}

func first(values ...text) text {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// operation trusts readOnly before the verb. Handing over credentials counts as
// executing something, whatever readOnly says of it: AWS calls AssumeRole a read.
func (rec *record) operation() audit.Operation {
	name := string(rec.EventName)
	switch {
	case rec.service() == "signin",
		rec.service() == "sts" && (strings.HasPrefix(name, "AssumeRole") || name == "AssumeRoot" || name == "GetSessionToken" || name == "GetFederationToken"):
		return audit.Execute
	case rec.ReadOnly == "true":
		return audit.Read
	}
	op := audit.OperationOf(name)
	if op == audit.Read && rec.ReadOnly == "false" {
		return audit.Execute
	}
	return op
}

// refusals are errors by which AWS refused the caller; they are compared
// without "Client." in front. Every other error is a failure.
var refusals = struct{ within, exact []string }{
	within: []string{"AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden", "AuthFailure"},
	exact: []string{
		"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
		"SignatureDoesNotMatch", "UnrecognizedClientException", "MissingAuthenticationToken", "AllAccessDisabled",
	},
}

func (rec *record) outcome() audit.Outcome {
	if answer, _ := audit.MetadataValue(rec.Response, string(rec.EventName)); answer == "Failure" && rec.service() == "signin" {
		return audit.Denied // a failed ConsoleLogin has no error code
	}
	code := strings.TrimPrefix(string(rec.ErrorCode), "Client.")
	if code == "" {
		if rec.ErrorMessage != "" {
			return audit.Failure
		}
		return audit.Success
	}
	for _, part := range refusals.within {
		if strings.Contains(code, part) {
			return audit.Denied
		}
	}
	for _, whole := range refusals.exact {
		if code == whole {
			return audit.Denied
		}
	}
	return audit.Failure
}
