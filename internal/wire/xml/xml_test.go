package xml_test

import (
	stdxml "encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bastide-cloud/bastide/internal/wire/plan"
	"github.com/bastide-cloud/bastide/internal/wire/xml"
)

type grantee struct {
	ID   *string `wire:"ID"`
	Type string  `wire:"xsi:type" name:"Type" opt:"attr,required"`
}

type rule struct {
	ID      string   `wire:"ID" opt:"required"`
	Methods []string `wire:"AllowedMethod" name:"Methods" opt:"flattened"`
}

type doc struct {
	Rules   []rule            `wire:"Rule" name:"Rules" opt:"flattened"`
	Names   []string          `wire:"Names"`
	Items   []rule            `wire:"Items" e.wire:"Item"`
	Map     map[string]string `wire:"Map"`
	Flat    map[string]int64  `wire:"Flat" opt:"flattened" k.wire:"Name" e.wire:"Count"`
	When    *time.Time        `wire:"When"`
	Enabled *bool             `wire:"Enabled"`
	Grantee *grantee          `wire:"Grantee" ns:"http://www.w3.org/2001/XMLSchema-instance" nsprefix:"xsi"`
	Text    *string           `wire:"Text"`
}

const sample = `<D><Rule><ID>a</ID><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod></Rule><Rule><ID>b</ID></Rule>` +
	`<Names><member>x</member><member>y</member></Names><Items><Item><ID>c</ID></Item></Items>` +
	`<Map><entry><key>k</key><value>v</value></entry></Map><Flat><Name>n</Name><Count>3</Count></Flat>` +
	`<When>2024-02-29T12:30:15.000Z</When><Enabled>true</Enabled>` +
	`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>i</ID></Grantee><Text>a &amp; &lt;b&gt;&#xD;</Text></D>`

func decode(data string) (doc, *plan.Check, error) {
	var out doc
	var cache plan.Cache
	var check plan.Check
	n, err := xml.Parse([]byte(data), xml.Limits{})
	if err != nil {
		return out, &check, err
	}
	v := reflect.ValueOf(&out).Elem()
	return out, &check, errors.Join(xml.Decode(n, cache.Of(v.Type()), v, &check))
}

func encode(d *doc) string {
	var cache plan.Cache
	v := reflect.ValueOf(d).Elem()
	b := xml.Open(nil, "D", "")
	b = xml.Encoder{Time: plan.ISOMillis}.Members(b, cache.Of(v.Type()), v)
	return string(xml.Close(b, "D"))
}

func TestRoundTrip(t *testing.T) {
	out, check, err := decode(sample)
	if err != nil || len(check.Violations()) > 0 {
		t.Fatal(err, check.Violations())
	}
	if got := encode(&out); got != sample {
		t.Errorf("\n got %s\nwant %s", got, sample)
	}
}

func TestMissing(t *testing.T) {
	_, check, err := decode(`<D><Rule><ID>a</ID></Rule><Rule/><Grantee/></D>`)
	if err != nil || len(check.Violations()) != 2 || check.Violations()[0].Path != "rules.2.member.iD" || check.Violations()[1].Path != "grantee.type" {
		t.Errorf("%v %+v", err, check.Violations())
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"empty", ``, "no root"},
		{"open", `<D><Rule>`, "xml"},
		{"two roots", `<D/><D/>`, "more than one"},
		{"text outside", `x<D/>`, "outside"},
		{"document type", `<!DOCTYPE D SYSTEM "file:///etc/passwd"><D/>`, "document types"},
		{"entity", `<D><Text>&x;</Text></D>`, "xml"},
		{"too deep", strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40), "too deeply"},
		{"too many", "<D>" + strings.Repeat("<Rule/>", 100_001) + "</D>", "too many"},
		{"element in text", `<D><Text><b/></Text></D>`, "unexpected element"},
		{"no boolean", `<D><Enabled>maybe</Enabled></D>`, "Boolean"},
		{"no number", `<D><Flat><Name>n</Name><Count>x</Count></Flat></D>`, "Integer"},
		{"half an entry", `<D><Map><entry><key>k</key></entry></Map></D>`, "lacks its key or value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := decode(c.doc); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzDecode holds that no document breaks the decoder and that what we write is well-formed.
func FuzzDecode(f *testing.F) {
	f.Add(sample)
	f.Add(`<D xmlns="x"><Rule><ID>a</ID></Rule></D>`)
	f.Add(`<D><Text><![CDATA[<x>]]></Text></D>`)
	f.Fuzz(func(t *testing.T, data string) {
		out, _, err := decode(data)
		if err != nil {
			return
		}
		d := stdxml.NewDecoder(strings.NewReader(encode(&out)))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("wrote %q: %v", encode(&out), err)
			}
		}
	})
}
