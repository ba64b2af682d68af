package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// model is a service-2.json file as botocore lays it out, without its prose.
type model struct {
	Metadata   metadata              `json:"metadata"`
	Operations map[string]*operation `json:"operations"`
	Shapes     map[string]*shape     `json:"shapes"`
}

type metadata struct {
	APIVersion     string `json:"apiVersion"`
	EndpointPrefix string `json:"endpointPrefix"`
	JSONVersion    string `json:"jsonVersion"`
	Protocol       string `json:"protocol"`
	SigningName    string `json:"signingName"`
	TargetPrefix   string `json:"targetPrefix"`
	XMLNamespace   string `json:"xmlNamespace"`
	// Of our own models only: names in audit records and in policies, where they differ from the
	// signing name.
	EventSource  string `json:"eventSource"`
	ActionPrefix string `json:"actionPrefix"`
}

type operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method     string `json:"method"`
		RequestURI string `json:"requestUri"`
		Status     int    `json:"responseCode"`
	} `json:"http"`
	Input    *ref   `json:"input"`
	Output   *ref   `json:"output"`
	Errors   []ref  `json:"errors"`
	AuthType string `json:"authtype"`
}

// ref is the use of a shape as a member, an element, an input or an error.
type ref struct {
	Shape            string        `json:"shape"`
	Location         string        `json:"location"`
	LocationName     string        `json:"locationName"`
	ResultWrapper    string        `json:"resultWrapper"`
	TimestampFormat  string        `json:"timestampFormat"`
	XMLNamespace     *xmlNamespace `json:"xmlNamespace"`
	Flattened        bool          `json:"flattened"`
	XMLAttribute     bool          `json:"xmlAttribute"`
	Streaming        bool          `json:"streaming"`
	IdempotencyToken bool          `json:"idempotencyToken"`
	JSONValue        bool          `json:"jsonvalue"`
	HostLabel        bool          `json:"hostLabel"`
	EventPayload     bool          `json:"eventpayload"`
}

type xmlNamespace struct {
	URI    string `json:"uri"`
	Prefix string `json:"prefix"`
}

// UnmarshalJSON takes both forms that models use: a bare URI and an object.
func (n *xmlNamespace) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &n.URI)
	}
	type plain xmlNamespace
	return json.Unmarshal(b, (*plain)(n))
}

type shape struct {
	Type            string        `json:"type"`
	Members         members       `json:"members"`
	Required        []string      `json:"required"`
	Payload         string        `json:"payload"`
	Member          *ref          `json:"member"`
	Key             *ref          `json:"key"`
	Value           *ref          `json:"value"`
	Min             *json.Number  `json:"min"`
	Max             *json.Number  `json:"max"`
	Pattern         string        `json:"pattern"`
	Enum            []string      `json:"enum"`
	Flattened       bool          `json:"flattened"`
	LocationName    string        `json:"locationName"`
	TimestampFormat string        `json:"timestampFormat"`
	XMLNamespace    *xmlNamespace `json:"xmlNamespace"`
	Streaming       bool          `json:"streaming"`
	Sensitive       bool          `json:"sensitive"`
	Document        bool          `json:"document"`
	EventStream     bool          `json:"eventstream"`
	Exception       bool          `json:"exception"`
	Fault           bool          `json:"fault"`
	Error           struct {
		Code   string `json:"code"`
		Status int    `json:"httpStatusCode"`
	} `json:"error"`
}

// members keeps the model's order, which is how people read a shape.
type members []member

type member struct {
	Name string
	ref
}

// UnmarshalJSON reads an object in its written order.
func (ms *members) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("members: want an object, have %v (%w)", t, err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		m := member{Name: t.(string)}
		if err := d.Decode(&m.ref); err != nil {
			return fmt.Errorf("member %s: %w", m.Name, err)
		}
		*ms = append(*ms, m)
	}
	return nil
}

func (s *shape) required(name string) bool {
	for _, r := range s.Required {
		if r == name {
			return true
		}
	}
	return false
}
