using System.Text;
using System.Text.RegularExpressions;

Func<string, string> set = name => Environment.GetEnvironmentVariable(name) ?? throw new Exception("set " + name);
var http = new HttpClient { BaseAddress = new Uri(set("GATEWAY_URL")) };
http.DefaultRequestHeaders.Add("Authorization", "Bearer " + set("GATEWAY_KEY"));
var job = @"{""kind"": ""personal_link"", ""region"": ""eu"", ""record"": {""Email"": ""joe.doe@example.com""},
    ""configuration"": ""9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11"", ""idempotency_key"": ""ticket-991""}";
var accepted = await http.PostAsync("/v1/jobs", new StringContent(job, Encoding.UTF8, "application/json"));
if (!accepted.IsSuccessStatusCode) throw new Exception(await accepted.Content.ReadAsStringAsync());
var shown = await http.GetStringAsync(accepted.Headers.Location + "?wait=30");
Console.WriteLine(Regex.Replace(shown, @".*""survey_link"":""([^""]*)"".*", "$1"));
