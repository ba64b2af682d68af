package audit

import (
	"encoding/json"
	"time"
)

// Record is one event, in CloudTrail's shape, version 1.11. Append and Note fill in EventVersion,
// EventID, EventTime, EventType and EventCategory where they are empty.
//
// EventTime and RequestID stand before every member that holds a caller's JSON, and are always
// written: readStamp relies on it.
type Record struct {
	EventVersion       string          `json:"eventVersion"`
	UserIdentity       UserIdentity    `json:"userIdentity"`
	EventTime          time.Time       `json:"eventTime"` // UTC, in milliseconds
	RequestID          string          `json:"requestID"`
	EventSource        string          `json:"eventSource"`
	EventName          string          `json:"eventName"`
	AWSRegion          string          `json:"awsRegion"`
	SourceIPAddress    string          `json:"sourceIPAddress"`
	UserAgent          string          `json:"userAgent,omitempty"`
	ErrorCode          string          `json:"errorCode,omitempty"`
	ErrorMessage       string          `json:"errorMessage,omitempty"`
	RequestParameters  json.RawMessage `json:"requestParameters"` // made by wire.Operation.Record, without secrets; null when absent
	ResponseElements   json.RawMessage `json:"responseElements"`
	Additional         map[string]any  `json:"additionalEventData,omitempty"`
	EventID            string          `json:"eventID"`
	ReadOnly           bool            `json:"readOnly"`
	Resources          []Resource      `json:"resources,omitempty"`
	EventType          string          `json:"eventType"`
	APIVersion         string          `json:"apiVersion,omitempty"`
	ManagementEvent    bool            `json:"managementEvent"`
	RecipientAccountID string          `json:"recipientAccountId,omitempty"`
	SharedEventID      string          `json:"sharedEventID,omitempty"`
	EventCategory      string          `json:"eventCategory"`
	TLSDetails         *TLSDetails     `json:"tlsDetails,omitempty"`
}

// UserIdentity says who called (CloudTrail userIdentity element). Type is Root, IAMUser,
// AssumedRole, FederatedUser, AWSService, AWSAccount or Unknown.
type UserIdentity struct {
	Type           string          `json:"type"`
	PrincipalID    string          `json:"principalId,omitempty"`
	ARN            string          `json:"arn,omitempty"`
	AccountID      string          `json:"accountId,omitempty"`
	AccessKeyID    string          `json:"accessKeyId,omitempty"`
	UserName       string          `json:"userName,omitempty"`
	SessionContext *SessionContext `json:"sessionContext,omitempty"`
	InvokedBy      string          `json:"invokedBy,omitempty"`
	IdentityProv   string          `json:"identityProvider,omitempty"`
}

// SessionContext says where temporary credentials came from.
type SessionContext struct {
	SessionIssuer *SessionIssuer     `json:"sessionIssuer,omitempty"`
	Attributes    *SessionAttributes `json:"attributes,omitempty"`
}

// SessionIssuer is the role or user that a session belongs to.
type SessionIssuer struct {
	Type        string `json:"type,omitempty"`
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	UserName    string `json:"userName,omitempty"`
}

// SessionAttributes are a session's own facts. MFAAuthenticated is "true" or "false", as AWS has it.
type SessionAttributes struct {
	CreationDate     time.Time `json:"creationDate,omitzero"`
	MFAAuthenticated string    `json:"mfaAuthenticated,omitempty"`
}

// Resource is one that the event touched.
type Resource struct {
	ARN       string `json:"ARN,omitempty"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
}

// TLSDetails are those of the caller's connection.
type TLSDetails struct {
	TLSVersion               string `json:"tlsVersion,omitempty"`
	CipherSuite              string `json:"cipherSuite,omitempty"`
	ClientProvidedHostHeader string `json:"clientProvidedHostHeader,omitempty"`
}

// Members of Record.Additional that Bastide writes itself.
const (
	DecisionKey = "bastideDecision" // the explanation of the decision, or a reference to it
	CountKey    = "bastideCount"    // for counted refusals: how many
)

const (
	eventVersion = "1.11"
	// maxRecord bounds an encoded record, in bytes, as CloudTrail does (256 KB).
	maxRecord = 256 << 10
)
