from jinja2 import Template

print(Template("{% for n in numbers %}{{ n * n }} {% endfor %}").render(numbers=range(5)).strip())
