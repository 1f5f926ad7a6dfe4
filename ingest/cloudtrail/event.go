package cloudtrail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// record holds the members of a CloudTrail record that have a place of their
// own in an event (CloudTrail User Guide, "CloudTrail record contents"). All
// the others are found in the payload.
type record struct {
	EventID      text `json:"eventID"`
	EventTime    text `json:"eventTime"`
	EventSource  text `json:"eventSource"`
	EventName    text `json:"eventName"`
	EventType    text `json:"eventType"`
	Category     text `json:"eventCategory"`
	ReadOnly     text `json:"readOnly"`
	Region       text `json:"awsRegion"`
	SourceIP     text `json:"sourceIPAddress"`
	UserAgent    text `json:"userAgent"`
	ErrorCode    text `json:"errorCode"`
	ErrorMessage text `json:"errorMessage"`
	RequestID    text `json:"requestID"`
	SharedID     text `json:"sharedEventID"`
	Account      text `json:"recipientAccountId"`
	Endpoint     text `json:"vpcEndpointId"`
	Console      text `json:"sessionCredentialFromConsole"`

	Identity   identity        `json:"userIdentity"`
	Resources  []resource      `json:"resources"`
	Parameters json.RawMessage `json:"requestParameters"`
	Response   json.RawMessage `json:"responseElements"`
	Additional json.RawMessage `json:"additionalEventData"`
}

type identity struct {
	Type        text `json:"type"`
	PrincipalID text `json:"principalId"`
	ARN         text `json:"arn"`
	Account     text `json:"accountId"`
	AccessKey   text `json:"accessKeyId"`
	UserName    text `json:"userName"`
	InvokedBy   text `json:"invokedBy"`
	Session     struct {
		SourceIdentity text `json:"sourceIdentity"`
		Issuer         struct {
			ARN      text `json:"arn"`
			UserName text `json:"userName"`
		} `json:"sessionIssuer"`
		Attributes struct {
			MFA text `json:"mfaAuthenticated"`
		} `json:"attributes"`
	} `json:"sessionContext"`
}

type resource struct {
	ARN  text `json:"ARN"`
	Type text `json:"type"`
}

// text is a string, or the literal of a number or boolean, since services of
// AWS do not agree on which they write; anything else is as good as absent.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '"':
		if bytes.IndexByte(data, '\\') < 0 { // nothing to undo: the document is valid UTF-8 by now
			*t = text(data[1 : len(data)-1])
			return nil
		}
		var s string
		err := json.Unmarshal(data, &s)
		*t = text(s)
		return err
	case '{', '[', 'n':
		*t = ""
	default:
		*t = text(data)
	}
	return nil
}

// metadata are the members worth filtering by that have no field of their own.
type metadata struct {
	Region         text   `json:"region,omitempty"`
	Account        text   `json:"account_id,omitempty"`
	IdentityType   text   `json:"identity_type,omitempty"`
	PrincipalID    text   `json:"principal_id,omitempty"`
	AccessKey      text   `json:"access_key_id,omitempty"`
	InvokedBy      text   `json:"invoked_by,omitempty"`
	SourceIdentity text   `json:"source_identity,omitempty"`
	MFA            string `json:"mfa,omitempty"`
	Console        text   `json:"console,omitempty"`
	EventType      text   `json:"event_type,omitempty"`
	Category       text   `json:"event_category,omitempty"`
	ReadOnly       text   `json:"read_only,omitempty"`
	SharedID       text   `json:"shared_event_id,omitempty"`
	Endpoint       text   `json:"vpc_endpoint_id,omitempty"`
}

// toEvent maps one record, whose bytes become the payload.
func toEvent(raw []byte, opt Options) (*audit.Event, error) {
	payload, err := audit.CompactDocument(raw)
	if err != nil {
		return nil, err
	}
	var rec record
	if len(payload) == 0 || payload[0] != '{' {
		return nil, audit.Invalid("", "a record must be a JSON object")
	}
	if err := json.Unmarshal(payload, &rec); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return nil, audit.Invalid(typed.Field, "cannot be a %s", typed.Value)
		}
		return nil, audit.Invalid("", "cannot be read: %s", err)
	}
	if rec.EventName == "" {
		return nil, audit.Invalid("eventName", "is missing: this is not a record of CloudTrail")
	}
	ev := &audit.Event{
		Namespace: opt.Namespace, Tenant: opt.Tenant, Payload: payload, ActionID: string(rec.SharedID),
		Action: rec.action(), Operation: rec.operation(), Resource: rec.resource(), Actor: rec.actor(),
		Source:  audit.Source{Service: rec.service(), Provider: "aws"},
		Request: audit.Request{ID: string(rec.RequestID)},
		Error:   string(rec.ErrorMessage), ErrorCode: string(rec.ErrorCode), Outcome: rec.outcome(),
	}
	if ev.OccurredAt, err = audit.ParseTime("eventTime", string(rec.EventTime)); err != nil {
		return nil, err
	}
	if ev.ID, ev.ExternalID, err = rec.id(payload); err != nil {
		return nil, err
	}
	if ev.Tenant == "" {
		ev.Tenant = string(rec.account())
	}
	ev.Metadata, err = audit.ToDocument(rec.metadata())
	return ev, err
}

// id makes a repeated import harmless also where a record has no id of its own.
func (rec *record) id(payload []byte) (audit.ID, string, error) {
	own := string(rec.EventID)
	if own == "" {
		sum := sha256.Sum256(payload)
		own = "sha256:" + hex.EncodeToString(sum[:])
	}
	id, external, err := audit.IDFrom(own)
	if err != nil {
		return id, "", audit.Invalid("eventID", "%s", err.(*audit.Error).Message)
	}
	return id, external, nil
}

// service is the event source without AWS's domain: s3, iam, signin.
func (rec *record) service() string {
	s := strings.TrimSuffix(string(rec.EventSource), ".cn")
	return strings.TrimSuffix(s, ".amazonaws.com")
}

func (rec *record) action() string {
	if s := rec.service(); s != "" {
		return s + "." + string(rec.EventName)
	}
	return string(rec.EventName)
}

func (rec *record) account() text {
	if rec.Account != "" {
		return rec.Account
	}
	return rec.Identity.Account
}

func (rec *record) metadata() metadata {
	id := &rec.Identity
	return metadata{
		Region: rec.Region, Account: rec.account(), IdentityType: id.Type, PrincipalID: id.PrincipalID, AccessKey: id.AccessKey,
		InvokedBy: id.InvokedBy, SourceIdentity: id.Session.SourceIdentity, MFA: rec.mfa(), Console: rec.Console, EventType: rec.EventType,
		Category: rec.Category, ReadOnly: rec.ReadOnly, SharedID: rec.SharedID, Endpoint: rec.Endpoint,
	}
}

// mfa says "true" or "false", or nothing where CloudTrail does not.
func (rec *record) mfa() string {
	if s := rec.Identity.Session.Attributes.MFA; s != "" {
		return string(s)
	}
	switch used, _ := audit.MetadataValue(rec.Additional, "MFAUsed"); used {
	case "Yes":
		return "true"
	case "No":
		return "false"
	}
	return ""
}
